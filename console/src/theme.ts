// Light, dark, or as the machine says; kept on this machine.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
const KEY = "civium.theme";
const machine = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

function dark(): boolean {
  const wanted = theme();
  return wanted === "dark" || (wanted === "system" && machine.matches);
}

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = dark() ? "dark" : "light";
  for (const listener of listeners) listener();
}

machine.addEventListener("change", applyTheme);

export function setTheme(next: Theme): void {
  localStorage.setItem(KEY, next);
  applyTheme();
}

/** Whether it is dark now. */
export function useDark(): boolean {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, dark);
}
