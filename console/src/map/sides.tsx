// What-if on the map: the same town twice, moved as one, with how often the wish for each thing changed.
import { useEffect, useMemo, useRef, useState } from "react";

import { useAsk, type CityMap } from "../api";
import { number } from "../format";
import { useWords } from "../language";
import { Asked, Link } from "../parts/base";
import { useDark } from "../theme";
import { Canvas } from "./canvas";
import { Layer } from "./live";
import { legend } from "./looks";

export interface Things {
  thing: number[];
  name: string[];
  lon: (number | null)[];
  lat: (number | null)[];
  changes: number[];
  differ: number[];
}
export interface Side {
  title: string;
  things: Things;
}
const ROWS = 10;

export default function Sides({ sides }: { sides: [Side, Side] }) {
  const city = useAsk<CityMap>("/api/map");
  return <Asked of={city}>{(told) => <Both city={{ ...told, terrain: null }} sides={sides} />}</Asked>;
}

/** Where steps end that suit both sides: nothing, and quarters of the most. */
function steps(sides: Side[]): number[] {
  const most = Math.max(1, ...sides.flatMap(({ things }) => things.changes));
  return [...new Set([1, ...[1, 2, 3].map((n) => Math.max(2, Math.ceil((most * n) / 4)))])];
}

function layerOf({ things }: Side, edges: number[]): Layer {
  const rows = things.thing.map((_, row) => row).filter((row) => things.lon[row] != null && things.lat[row] != null);
  const of = <T,>(values: T[]) => rows.map((row) => values[row]!);
  const thing = of(things.thing);
  const layer = new Layer("changes", "changes", { kind: "changes", thing, lon: of(things.lon) as number[], lat: of(things.lat) as number[], name: of(things.name), ground: null, moves: false }, "1", edges);
  layer.take({ kind: "changes", property: "changes", unit: "1", stream: thing, thing, value: of(things.changes), time: thing.map(() => 1) });
  layer.live();
  return layer;
}

function Both({ city, sides }: { city: CityMap; sides: [Side, Side] }) {
  const { t, language } = useWords();
  const dark = useDark();
  const holders = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
  const canvases = useRef<Canvas[]>([]);
  const [chosen, setChosen] = useState<number | null>(null);
  const edges = useMemo(() => steps(sides), [sides]);
  const layers = useMemo(() => sides.map((side) => layerOf(side, edges)), [sides, edges]);
  useEffect(() => {
    const hears = { thing: setChosen, building: () => {}, nothing: () => setChosen(null), measured: () => {}, moved: () => {} };
    const made = holders.map((holder, side) => new Canvas(holder.current!, city, dark, null, hears, { map: sides[side]!.title }));
    if (city.bounds) for (const canvas of made) canvas.ground.fitBounds(city.bounds, { padding: 24, pitch: 0, bearing: 0, animate: false });
    made[0]!.follow(made[1]!);
    made[1]!.follow(made[0]!);
    canvases.current = made;
    return () => {
      canvases.current = [];
      for (const canvas of made) canvas.destroy();
    };
  }, [city.tiles]); // eslint-disable-line
  useEffect(() => canvases.current.forEach((canvas) => canvas.theme(dark)), [dark]);
  useEffect(() => canvases.current.forEach((canvas, side) => canvas.draw({ layers: [layers[side]!], chosen, alerts: new Set(), measure: [] })), [layers, chosen, dark]);
  const [now, other] = sides.map((side) => new Map(side.things.thing.map((thing, row) => [thing, row])));
  const all = sides[1].things;
  const told = all.thing.map((thing, row) => ({ thing, name: all.name[row]!, differ: all.differ[row]! })).sort((a, b) => b.differ - a.differ);
  const rows = told.filter((one) => (chosen === null ? one.differ > 0 : one.thing === chosen)).slice(0, ROWS);
  const changes = (side: 0 | 1, thing: number) => {
    const row = (side ? other : now)!.get(thing);
    return row === undefined ? "–" : number(sides[side].things.changes[row]!, language);
  };
  return (
    <section aria-label={t("sides.title")}>
      <h3>{t("sides.title")}</h3>
      <div className="sides">
        {sides.map(({ title }, side) => (
          <figure key={side}>
            <figcaption className={side ? "told" : ""}>{title}</figcaption>
            <div ref={holders[side]} className="map" />
          </figure>
        ))}
      </div>
      <ul className="legend">
        {legend("changes", "changes", "1", edges, language, String).map(([[r, g, b], words], step) => (
          <li key={step}>
            <svg viewBox="0 0 10 10" aria-hidden="true">
              <circle cx="5" cy="5" r="4.500" fill={`rgb(${r} ${g} ${b})`} />
            </svg>
            {step ? words : `0 ${t("sides.changes")}`}
          </li>
        ))}
      </ul>
      {rows.length > 0 && (
        <div className="scroll" tabIndex={0} role="group" aria-label={t("sides.most")}>
          <table>
            <caption>{chosen === null ? t("sides.most") : t("sides.chosen")}</caption>
            <thead>
              <tr>
                <th scope="col">{t("sides.thing")}</th>
                <th scope="col" className="n">{t("backtest.differ")}</th>
                <th scope="col" className="n">{t("backtest.changes")}: {t("backtest.now")}</th>
                <th scope="col" className="n told">{t("backtest.if")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ thing, name, differ }) => (
                <tr key={thing}>
                  <th scope="row">
                    <Link path={`things/${thing}`}>{name || String(thing)}</Link>
                  </th>
                  <td className="n">{number(differ, language)}</td>
                  <td className="n">{changes(0, thing)}</td>
                  <td className="n">{changes(1, thing)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
