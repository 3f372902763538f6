// How the things of a kind are drawn: scales that stay apart for colour-blind eyes, in steps, and told in words.
import { number, shown } from "../format";
import type { Language } from "../language";

export type Colour = [number, number, number];
interface Look {
  scale: Colour[];
  edges?: number[]; // in SI; none: equal steps of what is there now
  radius: number; // [m] on the ground
  least: number; // [pixel]
  most: number; // [pixel]
  ring?: boolean; // an outline of its own, beside the colour
  steps?: boolean; // a value is a state, not an amount
}

// Light yellow to dark violet: lightness alone orders the steps (after cividis and batlow).
const AMOUNT: Colour[] = [[124, 138, 148], [233, 196, 76], [224, 138, 48], [196, 74, 44], [128, 28, 62]];
const POWER: Colour[] = [[247, 227, 161], [243, 205, 98], [234, 178, 46], [206, 138, 16], [146, 88, 0]];
const WARMTH: Colour[] = [[60, 110, 182], [128, 170, 210], [200, 200, 196], [222, 150, 112], [178, 62, 46]];
// Okabe and Ito's set, which eight in a hundred men tell apart too.
const STATES: Colour[] = [[230, 159, 0], [0, 158, 115], [0, 114, 178], [204, 121, 167], [213, 94, 0], [86, 180, 233]];
const ANY: Colour[] = [[253, 231, 37], [94, 201, 98], [33, 145, 140], [59, 82, 139], [68, 1, 84]];

const LOOKS: Record<string, Look> = {
  signal: { scale: STATES, edges: [0, 1, 2, 3, 4], radius: 9, least: 5, most: 16, ring: true, steps: true },
  detector: { scale: AMOUNT, edges: [1, 2, 4, 7], radius: 4, least: 2.5, most: 9 },
  street_segment: { scale: ANY, edges: [3, 6, 9, 12], radius: 6, least: 3, most: 10 },
  car_park: { scale: AMOUNT, radius: 10, least: 4, most: 16, ring: true },
  pv_plant: { scale: POWER, radius: 10, least: 4, most: 18, ring: true },
  lamp_post: { scale: WARMTH, radius: 3, least: 2, most: 7 },
  parking_bay: { scale: [[0, 158, 115], [213, 94, 0]], edges: [0.5], radius: 2.5, least: 2.5, most: 7 }, // free, taken
  emergency_vehicle: { scale: AMOUNT, edges: [1, 5, 10, 15], radius: 8, least: 7, most: 18, ring: true },
  changes: { scale: AMOUNT, radius: 12, least: 6, most: 18, ring: true }, // of what a practice wished, side by side
  weather_station: { scale: WARMTH, radius: 12, least: 6, most: 18, ring: true },
};
const OTHER: Look = { scale: ANY, radius: 6, least: 3, most: 12 };

export function look(kind: string): Look {
  return LOOKS[kind] ?? OTHER;
}

/** Where a step ends and the next begins: those of the look, or equal steps of the values that are there. */
export function edges(kind: string, values: ArrayLike<number>): number[] {
  const own = look(kind);
  if (own.edges) return own.edges;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) return [];
  const n = own.scale.length;
  return Array.from({ length: n - 1 }, (_, step) => low + ((high - low) * (step + 1)) / n);
}

export function step(value: number, bounds: number[]): number {
  let n = 0;
  while (n < bounds.length && value >= bounds[n]!) n++;
  return n;
}

/** The steps of a kind in words, for the legend. */
export function legend(kind: string, property: string, unit: string, bounds: number[], language: Language, state: (n: number) => string): [Colour, string][] {
  const own = look(kind);
  if (own.steps) return own.scale.slice(0, 4).map((colour, n) => [colour, state(n)]);
  if (!bounds.length) return []; // all tell the same: no scale
  const told = bounds.map((value) => shown(value, unit, property));
  const gap = Math.min(...told.slice(1).map((s, n) => Math.abs(s.value - told[n]!.value)));
  const apart = gap > 0 && gap < 1 ? Math.min(Math.ceil(-Math.log10(gap)), 6) : 0; // digits that tell neighbours apart
  const say = (value: number) => {
    const s = shown(value, unit, property);
    return number(s.value, language, Math.max(Math.min(s.digits, 1), apart)) + (s.unit === "%" ? " %" : "");
  };
  return own.scale.slice(0, bounds.length + 1).map((colour, n) => {
    const from = n ? say(bounds[n - 1]!) : "";
    return [colour, n === 0 ? `< ${say(bounds[0]!)}` : n === bounds.length ? `≥ ${from}` : from];
  });
}
