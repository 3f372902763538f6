// What the console asks the city for, and the shapes of the answers.
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";

import { credentials } from "./session";

export type Fates = Record<string, number>;

export interface Practice {
  id: string;
  title: string;
  purpose: string;
  tier: string;
  every_s: number;
  mandate: Mandate;
  trouble: string;
  decisions: number;
  last: string | null;
  commands: Fates;
  timing_ms: Partial<Record<"view_ms" | "decide_ms" | "delay_ms", number>>;
}
export type Mandate = "advise" | "approve" | "act";

export interface Waiting {
  decision: string;
  number: number;
  practice: string;
  value: string;
  tier: string;
  until: number;
  created: number;
  why: string;
  actuator: string;
  capability: number;
  facts: Record<string, unknown>;
  thing: number | null;
  of: string;
}
export interface Notice {
  decision: string;
  practice: string;
  at: number;
  severity: string;
  audience: string;
  text: string;
  about: number | null;
}
export interface Silent {
  id: number;
  property: string;
  thing: number;
  name: string;
  kind: string;
  time: number;
}
export interface Desk {
  now: number;
  name: string;
  advise_only: boolean;
  waiting: { count: number; commands: Waiting[] };
  troubles: Record<string, string>;
  practices: Practice[];
  silent: { count: number; streams: Silent[]; never_heard: number };
  dead_letters: number;
  notices: Notice[];
  incidents: { seq: number; practice: string; at: number; what: string; why: string }[];
  figures: { things: number; streams: number; heard: number; observations: number; decisions: number };
}

export interface Alarm {
  id: number;
  state: "open" | "acknowledged" | "shelved";
  severity: "critical" | "warning" | "info";
  title: string;
  said: string;
  group: { by: string; key: string; name: string };
  raised: string;
  acknowledged: { who: string } | null;
  shelved: { until: string; who: string; why: string } | null;
}
export const ALARMS = "/api/alarms";

export interface Decision {
  id: string;
  seq: number;
  practice: string;
  tick: number;
  mandate: string;
  commands: number;
  estimates: number;
  notices: number;
  because: string;
}
export interface Story {
  sequence: number;
  entry: {
    type: string;
    id: string;
    practice: string;
    who?: string;
    tick: number;
    mandate: string;
    advise_only: boolean;
    cut: Record<string, number>;
    digests?: Record<string, string>;
    plan: {
      because: string;
      commands: { actuator: number; value: string | number; until: number; tier: number; because: string }[];
      estimates: unknown[];
      notices: { audience: string; severity: string; text: string }[];
    };
  };
  events: { command: number; what: string; at: number; who: string; why: string; observation: number | null }[];
  names: Record<string, string>;
  words: string[];
}

export interface Kind {
  kind: string;
  things: number;
  property: string | null;
  properties: { name: string; unit: string; streams: number }[];
}
export interface CityMap {
  name: string;
  bounds: [number, number, number, number] | null;
  centre: [number, number] | null;
  layers: string[];
  attribution: string[];
  tiles: string | null;
  zooms: [number, number];
  terrain: { tiles: string; zooms: [number, number] } | null;
  kinds: Kind[];
}
export interface Places {
  kind: string;
  thing: number[];
  lon: (number | null)[]; // null: it moves, and tells no place
  lat: (number | null)[];
  name: string[] | null;
  ground: number[] | null; // its height [m]
  moves: boolean; // they tell where they are
}
export interface Values {
  kind: string;
  property: string;
  unit: string;
  stream: number[];
  thing: number[];
  value: number[];
  time: number[];
}
export interface Past {
  kind: string;
  property: string;
  thing: number[];
  start: number;
  step: number;
  values: (number | null)[][];
  places: { thing: number[]; lon: (number | null)[][]; lat: (number | null)[][] } | null; // where those were that move
}
export interface Stream {
  id: number;
  name: string;
  si_unit: string;
  access: string;
  personal: boolean;
  property: string;
  sensor: string;
  value: number | string | null;
  time: number | null;
}
export interface Touch {
  decision: string;
  number: number;
  practice: string;
  who: string;
  actuator: number;
  value: string;
  at: number;
  until: number;
  status: string;
  why: string;
}
export interface Actuator {
  id: number;
  name: string;
  kind: string;
  facts: Record<string, unknown>;
  held: { practice: string; tier: string; until: number; task: number | null } | null;
}
export interface Thing {
  id: number;
  key: string;
  name: string;
  description: string;
  kind: string;
  lon: number | null;
  lat: number | null;
  facts: Record<string, unknown>;
  streams: Stream[];
  actuators: Actuator[];
  commands: Touch[];
  notices: Notice[];
}
export interface Found {
  id: number;
  name: string;
  kind: string;
  key: string;
  lon: number | null;
  lat: number | null;
}
export interface Chart {
  stream: number;
  time: number[];
  low: number[];
  mean: number[];
  high: number[];
  last: number[];
  n: number[];
}

/** The city refused, or did not answer: what it said, for a person to read. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function answer<T>(response: Response): Promise<T> {
  const told: unknown = await response.json().catch(() => undefined);
  if (response.ok) return told as T;
  const { message, detail } = (told ?? {}) as { message?: string; detail?: unknown };
  throw new Refused(response.status, message ?? (detail ? JSON.stringify(detail) : response.statusText));
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return answer(await fetch(path, { headers: credentials(false), signal: signal ?? null }));
}

export async function send<T>(method: string, path: string, body?: unknown, type = "application/json"): Promise<T> {
  const headers = { "Content-Type": type, ...credentials(true) };
  const content = typeof body === "string" ? body : JSON.stringify(body ?? {});
  return answer(await fetch(path, { method, headers, body: content }));
}

/** A path with its query; what is undefined is left out. */
export function query(path: string, values: Record<string, string | number | undefined>): string {
  const told = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) told.append(name, String(value));
  return `${path}?${told}`;
}

/** Ask, and keep asking every so often [ms]; what was told before stays until the next answer. */
export function useAsk<T>(path: string | null, every: number | false = false): UseQueryResult<T> {
  return useQuery<T>({
    queryKey: [path],
    queryFn: ({ signal }) => get<T>(path!, signal),
    enabled: path !== null,
    refetchInterval: every,
    placeholderData: keepPreviousData,
  });
}
