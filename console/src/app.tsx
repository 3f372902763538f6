// The shell: navigation, the city's time, who is here; and the view that the address names.
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useEffect, useRef, useState, type ReactNode } from "react";

import { ALARMS, useAsk, type Alarm, type Desk } from "./api";
import { beat, useEvents, usePulse, type Link as LinkState } from "./events";
import { clock, day, number } from "./format";
import { useWords, type Key } from "./language";
import { CasesPage } from "./pages/cases";
import { DecisionPage, DecisionsPage } from "./pages/decisions";
import { DeskPage } from "./pages/desk";
import { PracticePage, PracticesPage } from "./pages/practices";
import { Settings } from "./pages/settings";
import { StartPage } from "./pages/start";
import { ThingPage, ThingsPage } from "./pages/things";
import { Empty, Link, Loading, Page } from "./parts/base";
import { Icon, type IconName } from "./parts/icons";
import { Said, say } from "./parts/say";
import { usePlace } from "./router";
import { recall, usePerson } from "./session";

const MapPage = lazy(() => import("./map/page"));
const DESK_MS = 10_000;
const VIEWS: [string, Key, IconName][] = [
  ["", "nav.desk", "desk"],
  ["map", "nav.map", "map"],
  ["practices", "nav.practices", "practices"],
  ["things", "nav.things", "things"],
  ["decisions", "nav.decisions", "decisions"],
  ["cases", "nav.cases", "cases"],
  ["settings", "nav.settings", "people"],
];

export function useDesk() {
  return useAsk<Desk>("/api/desk", DESK_MS);
}

/** The view's name in the browser's tab, as its heading has it. */
export function useTitle(title: string): void {
  const name = useDesk().data?.name ?? "Civium";
  useEffect(() => {
    document.title = `${title} · ${name}`;
  }, [title, name]);
}

function view(path: string): ReactNode {
  const [room = "", ...rest] = path.split("/");
  const id = rest.map(decodeURIComponent).join("/");
  switch (room) {
    case "":
      return <DeskPage />;
    case "map":
      return <MapPage />;
    case "practices":
      return id ? <PracticePage id={id} key={id} /> : <PracticesPage />;
    case "things":
      return id ? <ThingPage id={Number(id)} key={id} /> : <ThingsPage />;
    case "decisions":
      return id ? <DecisionPage id={id} key={id} /> : <DecisionsPage />;
    case "cases":
      return <CasesPage />;
    case "settings":
      return <Settings />;
    case "start":
      return <StartPage />;
    default:
      return <Missing />;
  }
}

function Missing() {
  const { t } = useWords();
  return (
    <Page title={t("missing.title")}>
      <Empty icon="alert">{t("missing.text")}</Empty>
    </Page>
  );
}

export function App() {
  const { t } = useWords();
  const { path } = usePlace();
  const room = path.split("/")[0] ?? "";
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const client = useQueryClient();
  const fresh = useRef(0);
  const said = useCallback((link: LinkState) => beat({ link }), []);
  useEvents(
    "",
    {
      tick: ({ now, troubles }) => beat({ now, at: performance.now(), troubles }),
      decisions: () => {
        const now = performance.now(); // a busy city decides every second: the desk asks again at most every few
        if (now - fresh.current < 3000) return;
        fresh.current = now;
        void client.invalidateQueries({ queryKey: ["/api/desk"] });
      },
    },
    said,
  );
  useEffect(() => {
    void recall().catch(() => undefined); // the city is away: the pulse says so
  }, []);
  const desk = useDesk();
  const name = desk.data?.name ?? "Civium";
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true }); // a reader that speaks hears where it is now
  }, [path]);
  const urgent = desk.data ? desk.data.waiting.count + Object.keys(desk.data.troubles).length + desk.data.practices.length : 0;
  return (
    <div className={`shell ${room === "map" ? "wide" : ""}`}>
      <a className="skip" href="#main">
        {t("skip")}
      </a>
      <nav className="rail" aria-label={t("nav.label")}>
        <Link path="" className="brand">
          <img src="/static/civium.svg" alt="" width={26} height={26} />
          <span>{name}</span>
        </Link>
        <ul>
          {VIEWS.map(([at, label, icon]) => (
            <li key={at}>
              <Link path={at} className={at === room ? "here" : ""} {...(at === room ? { "aria-current": "page" as const } : {})}>
                <Icon name={icon} />
                <span>{t(label)}</span>
                {at === "" && urgent > 0 && <Urgent n={urgent} />}
              </Link>
            </li>
          ))}
        </ul>
        <Pulse />
      </nav>
      <main id="main" ref={main} tabIndex={-1} aria-labelledby="title">
        {desk.data?.advise_only && <p className="banner">{t("switch.on")}</p>}
        <Suspense fallback={<Loading rows={6} />}>{view(path)}</Suspense>
      </main>
      <Said />
      <Herald desk={desk.data} />
    </div>
  );
}

/** Tells, in whatever view, that there is more for a person to do than there was: by ear what the rail shows by eye. */
function Herald({ desk }: { desk: Desk | undefined }) {
  const { t } = useWords();
  const person = usePerson();
  const alarms = useAsk<{ alarms: Alarm[]; counts: Record<string, number> }>(person ? ALARMS : null, DESK_MS);
  const before = useRef<Record<string, number>>({});
  const now: [Key, number | undefined][] = [
    ["herald.waiting", desk?.waiting.count],
    ["herald.broken", desk && Object.keys(desk.troubles).length + desk.practices.length],
    ["herald.alarms", person ? alarms.data?.counts["open"] ?? (alarms.data && 0) : undefined],
  ];
  useEffect(() => {
    const more = now.filter(([key, n]) => n !== undefined && n > (before.current[key] ?? Infinity));
    for (const [key, n] of now) if (n !== undefined) before.current[key] = n;
    if (more.length) say(more.map(([key, n]) => t(key, { n: n! })).join(" "));
  }); // each time that one of them was asked for
  return null;
}

function Urgent({ n }: { n: number }) {
  const { t, language } = useWords();
  return (
    <span className="urgent">
      <span aria-hidden="true">{number(n, language)}</span>
      <span className="unseen">{t("nav.urgent", { n })}</span>
    </span>
  );
}

/** The city's time, and whether what is shown is of this moment. */
function Pulse() {
  const { t, language } = useWords();
  const pulse = usePulse();
  const [quiet, setQuiet] = useState(false);
  useEffect(() => {
    setQuiet(false);
    const late = setTimeout(() => setQuiet(true), 25_000); // the city sends a beat every ten seconds
    return () => clearTimeout(late);
  }, [pulse.at, pulse.link]);
  const link = quiet && pulse.link === "live" ? "away" : pulse.link;
  return (
    <div className="pulse">
      {pulse.now > 0 && (
        <p>
          <time dateTime={new Date(pulse.now).toISOString()}>
            <b>{clock(pulse.now, language)}</b> <span>{day(pulse.now, language)}</span>
          </time>
        </p>
      )}
      <p className={`link ${link}`} role="status">
        {t(`link.${link}`)}
      </p>
    </div>
  );
}
