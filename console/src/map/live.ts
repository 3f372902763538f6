// The things of one kind on the map: where they are and what they told last, in arrays that go to the GPU as they are.
import type { Past, Places, Values } from "../api";
import { edges, look, step } from "./looks";

const SILENT: [number, number, number] = [150, 150, 150];

export class Layer {
  readonly length: number;
  readonly positions: Float64Array;
  readonly colours: Uint8Array;
  readonly values: Float32Array;
  bounds: number[] = [];
  heard = 0;
  version = 0;
  private readonly rows = new Map<number, number>(); // thing -> row
  private streams = new Map<number, number>(); // stream -> row
  private now: Float32Array;
  private times: Float64Array;

  constructor(
    readonly kind: string,
    readonly property: string,
    readonly places: Places,
    readonly unit: string,
    private readonly steps: number[] | null = null, // where its steps end; null: as its look has it
  ) {
    this.length = places.thing.length;
    this.positions = new Float64Array(3 * this.length);
    this.colours = new Uint8Array(4 * this.length);
    this.values = new Float32Array(this.length).fill(NaN);
    this.now = new Float32Array(this.length).fill(NaN);
    this.times = new Float64Array(this.length);
    places.thing.forEach((thing, row) => {
      this.rows.set(thing, row);
      this.positions.set([places.lon[row]!, places.lat[row]!, places.ground?.[row] ?? 0], 3 * row);
    });
    this.paint();
  }

  /** Where a row is: longitude, latitude [deg], height of the ground [m]. */
  spot(row: number): [number, number, number] {
    return [this.positions[3 * row]!, this.positions[3 * row + 1]!, this.positions[3 * row + 2]!];
  }

  row(thing: number): number | undefined {
    return this.rows.get(thing);
  }

  /** The same things where they are by now, and those that came, with what they told last. */
  moved(places: Places): Layer {
    const next = new Layer(this.kind, this.property, places, this.unit, this.steps);
    const things = this.places.thing;
    for (const [stream, row] of this.streams) {
      const there = next.rows.get(things[row]!);
      if (there === undefined) continue;
      next.streams.set(stream, there);
      next.now[there] = this.now[row]!;
      next.times[there] = this.times[row]!;
    }
    next.live();
    return next;
  }

  /** Take in the latest values, all of them. */
  take(told: Values): void {
    this.streams = new Map();
    told.stream.forEach((stream, i) => {
      const row = this.rows.get(told.thing[i]!);
      if (row === undefined) return;
      this.streams.set(stream, row);
      if (told.time[i]! < this.times[row]!) return;
      this.times[row] = told.time[i]!;
      this.now[row] = told.value[i]!;
    });
  }

  /** Take in what just came; whether any of it is ours. */
  hear(streams: number[], values: number[], times: number[]): boolean {
    let ours = false;
    streams.forEach((stream, i) => {
      const row = this.streams.get(stream);
      if (row === undefined || times[i]! < this.times[row]!) return;
      this.times[row] = times[i]!;
      this.now[row] = values[i]!;
      ours = true;
    });
    return ours;
  }

  /** Show this moment. */
  live(): void {
    this.values.set(this.now);
    this.paint();
  }

  /** Show a past moment: a row of what was told then. */
  at(past: Past, frame: number): void {
    this.values.fill(NaN);
    const told = past.values[Math.max(0, Math.min(frame, past.values.length - 1))] ?? [];
    past.thing.forEach((thing, i) => {
      const row = this.rows.get(thing);
      const value = told[i];
      if (row !== undefined && value != null) this.values[row] = value;
    });
    this.paint();
  }

  private paint(): void {
    const { scale } = look(this.kind);
    this.bounds = this.steps ?? edges(this.kind, this.values);
    this.heard = 0;
    for (let row = 0; row < this.length; row++) {
      const value = this.values[row]!;
      const silent = Number.isNaN(value);
      const [r, g, b] = silent ? SILENT : scale[Math.min(step(value, this.bounds), scale.length - 1)]!;
      if (!silent) this.heard++;
      const at = 4 * row;
      this.colours[at] = r;
      this.colours[at + 1] = g;
      this.colours[at + 2] = b;
      this.colours[at + 3] = silent ? 110 : 245;
    }
    this.version++;
  }
}
