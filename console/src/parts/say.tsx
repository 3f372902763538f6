// What a screen reader is told when something changes by itself or after a press, and where the focus goes when the
// element that had it is gone: without this it falls back to the top of the page, and nobody who listens knows where.
import { useEffect, useSyncExternalStore } from "react";

let said: { number: number; text: string }[] = [];
const listeners = new Set<() => void>();
const KEPT = 3; // so that what comes at once silences nothing
const REST_MS = 150; // a dialog gives the focus back by itself within this

/** Say something once; the same words again are said again. */
export function say(text: string): void {
  said = [...said, { number: (said.at(-1)?.number ?? 0) + 1, text }].slice(-KEPT);
  for (const listener of listeners) listener();
}

/** The one place from which is spoken; a dialog does not silence it. */
export function Said() {
  const all = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => said,
  );
  return (
    <div className="unseen" role="log" data-live-announcer="true">
      {all.map(({ number, text }) => (
        <p key={number}>{text}</p>
      ))}
    </div>
  );
}

/** Give a lost focus to an element that is still there, or to the view. */
export function keepFocus(before?: Element | null): void {
  if (document.activeElement !== document.body && document.activeElement !== null) return;
  if (before instanceof HTMLElement && before !== document.body && before.isConnected) before.focus();
  else document.getElementById("main")?.focus({ preventScroll: true });
}

/** The same when what was pressed is about to go. */
export function keepFocusSoon(): void {
  setTimeout(keepFocus, REST_MS);
}

/** When this part goes and the focus with it, it goes back to where it was when the part came. */
export function useReturn(): void {
  useEffect(() => {
    const before = document.activeElement;
    return () => keepFocus(before);
  }, []);
}
