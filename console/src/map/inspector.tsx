// What was clicked: a thing with its streams, charts and the decisions that touched it; or a building.
import { useEffect } from "react";

import { useAsk, type Thing } from "../api";
import { number } from "../format";
import { useWords } from "../language";
import { Actuators } from "../pages/actuators";
import { Facts, Streams, Touched } from "../pages/things";
import { StreamChart } from "../pages/stream";
import { Asked, Link } from "../parts/base";
import { Icon } from "../parts/icons";
import { say, useReturn } from "../parts/say";
import type { Building, Spot } from "./canvas";

const CHARTS = 2;

export function Inspector({ chosen, close, at }: { chosen: { thing: number } | { building: Building; spot: Spot }; close: () => void; at: number | undefined }) {
  const { t } = useWords();
  useReturn();
  return (
    <aside className="panel inspector" aria-label={t("map.chosen")} onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && close()}>
      <button type="button" className="tool close" aria-label={t("close")} onClick={close}>
        <Icon name="close" size={18} />
      </button>
      {"thing" in chosen ? <Inspected id={chosen.thing} key={chosen.thing} at={at} /> : <House building={chosen.building} />}
    </aside>
  );
}

function Inspected({ id, at }: { id: number; at: number | undefined }) {
  const { t, named } = useWords();
  const thing = useAsk<Thing>(`/api/things/${id}`, 5000);
  const name = thing.data && (thing.data.name || thing.data.key);
  useEffect(() => {
    if (name) say(`${t("map.chosen")}: ${name}`); // the focus stays where it was chosen
  }, [name, t]);
  return (
    <Asked of={thing} rows={5}>
      {(told) => (
        <>
          <header>
            <p className="quiet">{named("kind", told.kind)}</p>
            <h2>
              <Link path={`things/${id}`}>{told.name || told.key}</Link>
            </h2>
          </header>
          <Streams thing={told} />
          {told.streams
            .filter((stream) => typeof stream.value === "number")
            .slice(0, CHARTS)
            .map((stream) => (
              <StreamChart key={stream.id} stream={stream} small {...(at === undefined ? {} : { at })} />
            ))}
          <Actuators thing={told} />
          <Touched thing={told} />
          <Facts thing={told} />
          <p>
            <Link path={`things/${id}`}>{t("map.more")}</Link>
          </p>
        </>
      )}
    </Asked>
  );
}

function House({ building }: { building: Building }) {
  const { t, language, named } = useWords();
  const told: [string, string][] = [
    [t("building.use"), named("use", building.use)],
    [t("building.height"), `${number(building.height, language, 1)} m (${named("source", building.source)})`],
    ...(building.address ? [[t("building.address"), building.address] as [string, string]] : []),
    [t("building.id"), building.id],
  ];
  return (
    <>
      <header>
        <p className="quiet">{t("building.title")}</p>
        <h2>{building.name ?? building.address ?? t("building.unnamed")}</h2>
      </header>
      <dl className="facts even">
        {told.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
