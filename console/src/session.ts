// Who is at the console: the city keeps the session in a cookie that no script can read; changes carry its CSRF token.
import { useSyncExternalStore } from "react";

export interface Person {
  name: string;
  role: "public" | "device" | "operator" | "department" | "administrator";
  csrf: string;
}

let person: Person | null = null;
const listeners = new Set<() => void>();

function settle(next: Person): void {
  person = next.role === "public" ? null : next;
  for (const listener of listeners) listener();
}

/** The headers that a request needs; `changes` says whether it changes something. */
export function credentials(changes: boolean): Record<string, string> {
  return changes && person?.csrf ? { "X-Civium-CSRF": person.csrf } : {};
}

/** Who has logged in here; null: nobody, or somebody who only reads. */
export function usePerson(): Person | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => person,
  );
}

async function ask(method: string, path: string, body?: unknown): Promise<Person> {
  const headers = { "Content-Type": "application/json", ...credentials(method !== "GET") };
  const response = await fetch(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()) as Person;
}

/** Show who one is by a token that the city's operator gave out. */
export async function login(token: string): Promise<void> {
  settle(await ask("POST", "/api/login", { token }));
}

export async function logout(): Promise<void> {
  settle(await ask("POST", "/api/logout", {}));
}

/** Find out who one is, from the session that the browser may hold already. */
export async function recall(): Promise<void> {
  settle(await ask("GET", "/api/me"));
}
