// Views by address, without a library: the path under /console, and its query.
import { useSyncExternalStore } from "react";

const BASE = "/console";
const listeners = new Set<() => void>();

function told(): void {
  for (const listener of listeners) listener();
}

addEventListener("popstate", told);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export interface Place {
  path: string;
  query: URLSearchParams;
}

/** The address as the router sees it: the path under /console without a trailing slash, "" for the desk. */
export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  const [path = "", query = ""] = address.split("?");
  return { path: path.slice(BASE.length).replace(/^\/+|\/+$/g, ""), query: new URLSearchParams(query) };
}

/** The address of a view, to stand in a link. */
export function to(path: string): string {
  return path ? `${BASE}/${path}` : BASE;
}

/** Go to a view. `replace` changes the address without a new step back. */
export function go(path: string, { replace = false } = {}): void {
  history[replace ? "replaceState" : "pushState"](null, "", to(path));
  told();
  if (!replace) scrollTo(0, 0);
}

/** Follow a link inside the console without loading the page again; leaves new tabs to the browser. */
export function follow(event: React.MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const url = new URL(event.currentTarget.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(BASE)) return;
  event.preventDefault();
  go(url.pathname.slice(BASE.length + 1) + url.search);
}
