// What happens in the city, as it happens: one link, opened again by the browser where it broke, from where it broke.
import { useEffect, useRef, useSyncExternalStore } from "react";

import type { Decision } from "./api";

export interface News {
  values?: (news: { s: number[]; v: number[]; t: number[] }) => void;
  decisions?: (news: Decision[]) => void;
  tick?: (news: { now: number; troubles: number }) => void;
}
export type Link = "opening" | "live" | "away";

/** Listen while the component is there. `wanted` is the query of /api/events. */
export function useEvents(wanted: string | null, news: News, said?: (link: Link) => void): void {
  const kept = useRef(news);
  kept.current = news;
  useEffect(() => {
    if (wanted === null) return;
    let source: EventSource | undefined;
    let last = "";
    let again: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      const query = last ? `${wanted}${wanted ? "&" : ""}after=${encodeURIComponent(last)}` : wanted;
      source = new EventSource(`/api/events?${query}`);
      const hear = (name: keyof News) =>
        source!.addEventListener(name, (event) => {
          last = (event as MessageEvent<string>).lastEventId;
          said?.("live");
          kept.current[name]?.(JSON.parse((event as MessageEvent<string>).data));
        });
      hear("values");
      hear("decisions");
      hear("tick");
      source.onerror = () => {
        said?.("away");
        if (source!.readyState === EventSource.CLOSED) again = setTimeout(open, 3000); // the browser has given up
      };
    };
    open();
    return () => {
      clearTimeout(again);
      source?.close();
    };
  }, [wanted, said]);
}

// The shell listens for all: the city's time, and whether the link is up.
let pulse = { link: "opening" as Link, now: 0, at: 0, troubles: 0 };
const listeners = new Set<() => void>();

export function beat(change: Partial<typeof pulse>): void {
  pulse = { ...pulse, ...change };
  for (const listener of listeners) listener();
}

export function usePulse(): typeof pulse {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => pulse,
  );
}
