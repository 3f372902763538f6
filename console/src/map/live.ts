// The things of one kind on the map: where they are and what they told last, in arrays that go to the GPU as they are.
import type { Past, Places, Values } from "../api";
import { edges, look, step } from "./looks";

const SILENT: [number, number, number] = [150, 150, 150];
const NOWHERE: [number, number, number] = [0, -89, 0]; // no map of a city shows it

function spot(lon: number | null | undefined, lat: number | null | undefined, ground = 0): [number, number, number] {
  return lon == null || lat == null ? NOWHERE : [lon, lat, ground];
}

export class Layer {
  readonly length: number;
  positions: Float64Array;
  readonly colours: Uint8Array;
  readonly values: Float32Array;
  bounds: number[] = [];
  heard = 0;
  version = 0;
  private readonly rows = new Map<number, number>(); // thing -> row
  private streams = new Map<number, number>(); // stream -> row
  private now: Float32Array;
  private times: Float64Array;
  private travelled = false; // the positions are those of a past moment

  constructor(
    readonly kind: string,
    readonly property: string,
    readonly places: Places,
    readonly unit: string,
    private readonly steps: number[] | null = null, // where its steps end; null: as its look has it
  ) {
    this.length = places.thing.length;
    this.colours = new Uint8Array(4 * this.length);
    this.values = new Float32Array(this.length).fill(NaN);
    this.now = new Float32Array(this.length).fill(NaN);
    this.times = new Float64Array(this.length);
    places.thing.forEach((thing, row) => this.rows.set(thing, row));
    this.positions = this.stand();
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
    if (this.travelled) this.positions = this.stand();
    this.travelled = false;
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
    if (past.places) this.travel(past.places, frame);
    this.paint();
  }

  /** Where everything is now. A new array: the same one is not sent to the GPU again. */
  private stand(): Float64Array {
    const { thing, lon, lat, ground } = this.places;
    const positions = new Float64Array(3 * thing.length);
    for (let row = 0; row < thing.length; row++) positions.set(spot(lon[row], lat[row], ground?.[row]), 3 * row);
    return positions;
  }

  /** Put what moves where it was; what told no place then is out of sight. */
  private travel(places: NonNullable<Past["places"]>, frame: number): void {
    this.positions = this.stand();
    const at = Math.max(0, Math.min(frame, places.lon.length - 1));
    places.thing.forEach((thing, i) => {
      const row = this.rows.get(thing);
      if (row !== undefined) this.positions.set(spot(places.lon[at]?.[i], places.lat[at]?.[i]), 3 * row);
    });
    this.travelled = true;
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
