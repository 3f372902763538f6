// The time slider: any past hour, played at some speed, or this moment again.
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { Label, Slider, SliderOutput, SliderThumb, SliderTrack } from "react-aria-components";

import { usePulse } from "../events";
import { clock, day } from "../format";
import { useWords } from "../language";
import { Broken } from "../parts/base";
import { Icon } from "../parts/icons";
import { useReturn } from "../parts/say";

export interface Moment {
  at: number; // [ms since epoch]
  from: number; // the hour that is loaded begins here
}
const HOUR_MS = 3_600_000;
const STEP_MS = 10_000;
const SPEEDS = [10, 60, 300];
const TURN_MS = 100;

export function TimeBar({ moment, change, loading, error }: { moment: Moment; change: (next: Moment | null) => void; loading: boolean; error: Error | null }) {
  const { t, language } = useWords();
  const { now } = usePulse();
  const [speed, setSpeed] = useState(60);
  const [playing, setPlaying] = useState(false);
  const kept = useRef(moment);
  kept.current = moment;
  useReturn();
  const thumb = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => thumb.current?.setAttribute("aria-valuetext", clock(moment.at, language))); // else milliseconds are read out
  const hour = (start: number) => change({ from: start, at: start });
  useEffect(() => {
    if (moment.from === 0 && now) hour(Math.floor((now - HOUR_MS) / STEP_MS) * STEP_MS); // the last hour at first
  }, [moment.from, now]); // eslint-disable-line
  useEffect(() => {
    if (!playing || loading) return;
    const turning = setInterval(() => {
      const { at, from } = kept.current;
      const next = at + TURN_MS * speed;
      if (next >= from + HOUR_MS) setPlaying(false);
      change({ from, at: Math.min(next, from + HOUR_MS) });
    }, TURN_MS);
    return () => clearInterval(turning);
  }, [playing, loading, speed, change]);
  if (!moment.from) return null;
  return (
    <section className="panel time" aria-label={t("time.title")}>
      <div className="time-row">
        <button type="button" className="tool play" aria-label={t(playing ? "time.pause" : "time.play")} onClick={() => setPlaying(!playing)}>
          <Icon name={playing ? "pause" : "play"} />
        </button>
        <div className="time-when">
          <b>{clock(moment.at, language)}</b>
          <span>{day(moment.at, language)}</span>
        </div>
        <label className="field">
          <span className="unseen">{t("time.hour")}</span>
          <input
            type="datetime-local"
            value={new Date(moment.from).toISOString().slice(0, 16)}
            max={now ? new Date(now).toISOString().slice(0, 16) : undefined}
            onChange={(event) => event.target.value && hour(Date.parse(`${event.target.value}Z`))}
          />
        </label>
        <div className="spans" role="group" aria-label={t("time.speed")}>
          {SPEEDS.map((one) => (
            <button key={one} type="button" aria-pressed={speed === one} onClick={() => setSpeed(one)}>
              {one}×
            </button>
          ))}
        </div>
        <button type="button" className="button plain" onClick={() => change(null)}>
          {t("time.now")}
        </button>
      </div>
      <Slider
        className="slider"
        minValue={moment.from}
        maxValue={moment.from + HOUR_MS}
        step={STEP_MS}
        value={moment.at}
        onChange={(at) => change({ ...moment, at: at as number })}
        formatOptions={{ style: "decimal" }}
      >
        <Label className="unseen">{t("time.slider")}</Label>
        <SliderOutput className="unseen">{clock(moment.at, language)}</SliderOutput>
        <SliderTrack className="track">
          <SliderThumb className="thumb" inputRef={thumb} />
        </SliderTrack>
      </Slider>
      <div className="ends">
        <span>{clock(moment.from, language)}</span>
        {loading && <span role="status">{t("loading")}</span>}
        <span>{clock(moment.from + HOUR_MS, language)}</span>
      </div>
      {error && <Broken error={error} />}
    </section>
  );
}
