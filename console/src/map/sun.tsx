// Sun and shadow at any time of the year, as the city computes them from its buildings.
import { useEffect, useState } from "react";

import { query, useAsk, type CityMap } from "../api";
import { usePulse } from "../events";
import { number } from "../format";
import { useWords } from "../language";
import { Broken } from "../parts/base";

export interface Sun {
  place: { azimuth: number; elevation: number };
  shadow: GeoJSON.GeoJSON | null;
}
interface Told {
  azimuth: number;
  elevation: number;
  shadow: GeoJSON.GeoJSON | null;
}
const MINUTE_MS = 60_000;

export function SunPanel({ changed, city }: { changed: (sun: Sun) => void; city: CityMap }) {
  const { t, language } = useWords();
  const { now } = usePulse();
  const [day, setDay] = useState("");
  const [minute, setMinute] = useState(-1);
  const zone = Math.round(((city.bounds?.[0] ?? 0) / 360) * 1440); // minutes that the sun is ahead of UTC here
  useEffect(() => {
    if (!now || day) return;
    const local = new Date(now + zone * MINUTE_MS);
    setDay(local.toISOString().slice(0, 10));
    setMinute(local.getUTCHours() * 60 + local.getUTCMinutes());
  }, [now, day, zone]);
  const at = day && minute >= 0 ? new Date(Date.parse(`${day}T00:00:00Z`) + (minute - zone) * MINUTE_MS).toISOString() : null;
  const told = useAsk<Told>(at && query("/api/map/sun", { at }));
  useEffect(() => {
    if (told.data) changed({ place: told.data, shadow: told.data.shadow });
  }, [told.data, changed]);
  const hour = `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  return (
    <section className="panel sun" aria-label={t("map.sun")}>
      <h2>{t("map.sun")}</h2>
      <label className="field">
        <span>{t("sun.day")}</span>
        <input type="date" value={day} onChange={(event) => setDay(event.target.value)} />
      </label>
      <label className="field">
        <span>
          {t("sun.hour")} <b>{minute >= 0 && hour}</b>
        </span>
        <input type="range" min={0} max={1439} step={5} aria-valuetext={hour} value={Math.max(minute, 0)} onChange={(event) => setMinute(Number(event.target.value))} />
      </label>
      <p className="quiet" role="status">
        {told.data && (told.data.elevation > 0 ? t("sun.where", { elevation: number(told.data.elevation, language, 1), azimuth: number(told.data.azimuth, language) }) : t("sun.night"))}
      </p>
      {told.error && <Broken error={told.error} />}
      <p className="quiet">{t("sun.note")}</p>
    </section>
  );
}
