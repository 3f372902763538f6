// The words of the console: one catalogue a language, chosen by the reader or by the browser.
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";

import en from "./words/en.json";
import zh from "./words/zh-Hans.json";

export type Key = keyof typeof en;
export type Language = "en" | "zh-Hans";
type Values = Record<string, string | number>;

const CATALOGUES: Record<Language, Record<string, string>> = { en, "zh-Hans": zh };
export const LANGUAGES: [Language, string][] = [
  ["en", "English"],
  ["zh-Hans", "简体中文"],
];
const KEPT = "civium.language";

function chosen(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "zh-Hans") return kept;
  return navigator.languages.some((one) => /^zh\b/i.test(one)) && !/^en\b/i.test(navigator.language) ? "zh-Hans" : "en";
}

export interface Words {
  language: Language;
  set: (language: Language) => void;
  /** The words of a key, with its values put in; `n` chooses between one and many where both are there. */
  t: (key: Key, values?: Values) => string;
  /** The words of a key that is made at run time; the fallback where the catalogue has none. */
  named: (prefix: string, name: string) => string;
}

const Context = createContext<Words | null>(null);

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(chosen);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const words = useMemo<Words>(() => {
    const catalogue = CATALOGUES[language];
    const plural = new Intl.PluralRules(language);
    const put = (text: string, values: Values) =>
      text.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = values[name];
        return typeof value === "number" ? value.toLocaleString(language) : String(value ?? "");
      });
    const t = (key: Key, values: Values = {}) => {
      const n = values["n"];
      const form = typeof n === "number" ? catalogue[`${key}.${plural.select(n)}`] : undefined;
      return put(form ?? catalogue[key] ?? key, values);
    };
    return {
      language,
      set: (next) => {
        localStorage.setItem(KEPT, next);
        setLanguage(next);
      },
      t,
      named: (prefix, name) => catalogue[`${prefix}.${name}`] ?? name.replaceAll("_", " "),
    };
  }, [language]);
  return <Context value={words}>{children}</Context>;
}

export function useWords(): Words {
  return useContext(Context)!;
}
