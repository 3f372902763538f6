// Numbers, units and times as people read them; values come in SI.
import type { Language } from "./language";

interface Shown {
  value: number;
  unit: string;
  digits: number;
}

const HUNDREDTHS = 2;

/** A value in SI in the unit that people use for it. */
export function shown(value: number, unit: string, property = ""): Shown {
  if (unit === "K") return { value: value - 273.15, unit: "°C", digits: 1 };
  if (unit === "W") return scaled(value, "W");
  if (unit === "J") return { value: value / 3.6e6, unit: "kWh", digits: 1 };
  if (unit === "Pa") return { value: value / 100, unit: "hPa", digits: 1 };
  if (unit === "W/m^2") return { value, unit: "W/m²", digits: 0 };
  if (unit === "m/s" && property.startsWith("rain")) return { value: value * 3.6e6, unit: "mm/h", digits: 1 };
  if (unit === "m/s" && property.includes("vehicle")) return { value: value * 3.6, unit: "km/h", digits: 0 };
  if (unit === "1" && /ratio|occupancy|share|(fill|battery|charge)_level|^level$|humidity|state_of_charge|cover|efficiency|probability/.test(property)) return { value: value * 100, unit: "%", digits: 0 };
  if (unit === "1" || unit === "") return { value, unit: "", digits: Number.isInteger(value) ? 0 : HUNDREDTHS };
  return { value, unit: unit.replace("^2", "²").replace("^3", "³"), digits: HUNDREDTHS };
}

function scaled(value: number, unit: string): Shown {
  const size = Math.abs(value);
  if (size >= 1e6) return { value: value / 1e6, unit: `M${unit}`, digits: 2 };
  if (size >= 1e3) return { value: value / 1e3, unit: `k${unit}`, digits: 1 };
  return { value, unit, digits: 0 };
}

export function number(value: number, language: Language, digits = 0): string {
  return value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

export function quantity(value: number | string | null, unit: string, property: string, language: Language): string {
  if (value === null) return "–";
  if (typeof value === "string") return value;
  const s = shown(value, unit, property);
  return `${number(s.value, language, s.digits)}${s.unit ? ` ${s.unit}` : ""}`;
}

/** A figure of any size in few characters: 1.2 million as people write it. */
export function short(value: number, language: Language): string {
  return value.toLocaleString(language, { notation: value >= 100_000 ? "compact" : "standard", maximumFractionDigits: 1 });
}

const FORMATS = new Map<string, Intl.DateTimeFormat>();

function formatted(instant: number, language: Language, options: Intl.DateTimeFormatOptions): string {
  const key = language + JSON.stringify(options);
  let format = FORMATS.get(key);
  if (!format) FORMATS.set(key, (format = new Intl.DateTimeFormat(language, { timeZone: "UTC", hourCycle: "h23", ...options })));
  return format.format(instant);
}

/** Time of day of an instant [ms], in UTC as the record has it. */
export function clock(instant: number, language: Language): string {
  return formatted(instant, language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function day(instant: number, language: Language): string {
  return formatted(instant, language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

export function moment(instant: number, language: Language): string {
  return formatted(instant, language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** How long ago, or how long until, in the largest unit that fits. */
export function since(seconds: number, language: Language): string {
  const format = new Intl.RelativeTimeFormat(language, { numeric: Math.abs(seconds) < 0.5 ? "auto" : "always", style: "short" });
  const size = Math.abs(seconds);
  if (size < 90) return format.format(Math.round(seconds), "second");
  if (size < 5400) return format.format(Math.round(seconds / 60), "minute");
  if (size < 129_600) return format.format(Math.round(seconds / 3600), "hour");
  return format.format(Math.round(seconds / 86_400), "day");
}

/** A length of time [s] in the largest unit that fits. */
export function lasting(seconds: number, language: Language): string {
  const [value, unit]: [number, string] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : seconds < 172_800 ? [seconds / 3600, "hour"] : [seconds / 86_400, "day"];
  return value.toLocaleString(language, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: value < 10 ? 1 : 0 });
}
