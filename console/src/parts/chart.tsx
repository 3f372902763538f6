// A stream over time: the mean as a line, low to high as a band; told in words too, for who does not see it.
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import type { Chart as Told } from "../api";
import { number, shown } from "../format";
import { useWords } from "../language";
import { useDark } from "../theme";

/** A property whose values are states: between two of them there is nothing, so no mean is drawn. */
const STATES = /phase|state|status|mode/;

export function Chart({ told: all, unit, property, title, span, height = 140 }: { told: Told; unit: string; property: string; title: string; span: [number, number]; height?: number }) {
  const { t, language } = useWords();
  const holder = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const stepped = STATES.test(property);
  const told = useMemo(() => (stepped ? { ...all, mean: all.last, low: all.last, high: all.last } : all), [all, stepped]);
  const as = useMemo(() => {
    const of = (values: number[]) => values.map((value) => shown(value, unit, property).value);
    return { mean: of(told.mean), low: of(told.low), high: of(told.high) };
  }, [told, unit, property]);
  const { unit: symbol, digits } = shown(told.mean.at(-1) ?? 0, unit, property);
  // One scale for the whole chart, that of its last value.
  const factor = useMemo(() => {
    const last = told.mean.at(-1);
    if (unit !== "W" || !last) return null;
    return symbol === "MW" ? 1e-6 : symbol === "kW" ? 1e-3 : 1;
  }, [told, unit, symbol]);
  useEffect(() => {
    const element = holder.current;
    if (!element || !told.time.length) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const scaled = (values: number[], own: number[]) => (factor === null ? own : values.map((value) => value * factor));
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable, sans-serif" };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [8, 16, 0, 0],
        cursor: { points: { size: 7 }, drag: { x: false, y: false } },
        legend: { show: false },
        scales: { x: { range: [span[0] / 1000, span[1] / 1000] } }, // where nothing was told there is room too
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        axes: [
          { ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toISOString().slice(11, 16)) },
          { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => number(tick, language, tick % 1 ? 1 : 0)) },
        ],
        bands: [{ series: [2, 3], fill: colour("--band") }],
        series: [
          {},
          { stroke: colour("--accent"), width: 2, points: { show: told.time.length < 40 }, ...(stepped ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}) },
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
        ],
      },
      [told.time.map((ms) => ms / 1000), scaled(told.mean, as.mean), scaled(told.high, as.high), scaled(told.low, as.low)],
      element,
    );
    const wide = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    wide.observe(element);
    return () => {
      wide.disconnect();
      plot.destroy();
    };
  }, [told, as, factor, dark, height, language, stepped, span[0], span[1]]);
  const words = useMemo(() => {
    if (!told.time.length) return t("chart.empty");
    const least = Math.min(...told.low);
    const most = Math.max(...told.high);
    const say = (value: number) => {
      const s = shown(value, unit, property);
      return `${number(s.value, language, s.digits)} ${s.unit}`.trim();
    };
    return t("chart.words", { title, low: say(least), high: say(most), last: say(told.mean.at(-1)!) });
  }, [told, unit, property, title, t, language]);
  if (!told.time.length) return <p className="empty">{t("chart.empty")}</p>;
  return (
    <figure className="chart">
      <figcaption>
        {title} {symbol && <span className="quiet">[{symbol}]</span>}
        <b>{number(factor === null ? as.mean.at(-1)! : told.mean.at(-1)! * factor, language, digits)}</b>
      </figcaption>
      <div ref={holder} role="img" aria-label={words} />
    </figure>
  );
}
