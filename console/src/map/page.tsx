// The map page: what is shown, at which moment, and what was chosen; all of it stands in the address.
import { useQueries, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { useDesk, useTitle } from "../app";
import { get, query, useAsk, type CityMap, type Past, type Places, type Values } from "../api";
import { useEvents } from "../events";
import { number } from "../format";
import { useWords } from "../language";
import { Asked, Empty } from "../parts/base";
import { Icon } from "../parts/icons";
import { keepFocusSoon } from "../parts/say";
import { go, usePlace } from "../router";
import { useDark } from "../theme";
import { area, Canvas, distance, type Building, type Sight, type Spot } from "./canvas";
import { Inspector } from "./inspector";
import { Layer } from "./live";
import { Layers } from "./layers";
import { Near, type View } from "./near";
import { Search } from "./search";
import { SunPanel, type Sun } from "./sun";
import { TimeBar, type Moment } from "./time";

const HOUR_MS = 3_600_000;
const STEP_S = 10;
const MOVES_MS = 2000;
type Chosen = { thing: number } | { building: Building; spot: Spot } | null;

export default function MapPage() {
  const { t } = useWords();
  useTitle(t("map.title"));
  const city = useAsk<CityMap>("/api/map");
  return (
    <Asked of={city} rows={8}>
      {(told) => (told.bounds ? <CityMapView city={told} /> : <Nowhere />)}
    </Asked>
  );
}

function Nowhere() {
  const { t } = useWords();
  return (
    <div className="page">
      <h1 id="title">{t("nav.map")}</h1>
      <Empty icon="map">{t("map.nothing")}</Empty>
    </div>
  );
}

function sightOf(asked: URLSearchParams): Sight | null {
  const told = (asked.get("view") ?? "").split("/").map(Number);
  if (told.length !== 5 || told.some((one) => !Number.isFinite(one))) return null;
  const [lon, lat, zoom, pitch, bearing] = told as [number, number, number, number, number];
  return { lon, lat, zoom, pitch, bearing };
}

function CityMapView({ city }: { city: CityMap }) {
  const { t, language } = useWords();
  const dark = useDark();
  const client = useQueryClient();
  const { query: asked } = usePlace();
  const desk = useDesk();
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<Canvas | null>(null);
  const shownKinds = city.kinds.filter((one) => one.property);
  const [off, setOff] = useState<Set<string>>(() => new Set(asked.get("off")?.split(",").filter(Boolean) ?? []));
  const [chosen, setChosen] = useState<Chosen>(() => (asked.has("thing") ? { thing: Number(asked.get("thing")) } : null));
  const [moment, setMoment] = useState<Moment | null>(() => (asked.has("at") ? { at: Number(asked.get("at")), from: Number(asked.get("at")) - HOUR_MS / 2 } : null));
  const [measure, setMeasure] = useState<Spot[] | null>(null);
  const [sun, setSun] = useState<Sun | null>(null);
  const [panel, setPanel] = useState<"layers" | "near" | "sun" | null>(() => (innerWidth > 900 ? "layers" : null));
  const [layers, setLayers] = useState<Layer[]>([]);
  const [turn, setTurn] = useState(0);
  const [every, setEvery] = useState(1);
  const [copied, setCopied] = useState(false);
  const [view, setView] = useState<View | null>(null);
  const kinds = useMemo(() => shownKinds.filter((one) => !off.has(one.kind)), [city, off]); // eslint-disable-line

  // What is there: places once, the latest values each time that a kind is switched on.
  useEffect(() => {
    let gone = false;
    void Promise.all(
      kinds.map(async ({ kind, property, properties }) => {
        const path = query("/api/map/places", { kind });
        const [places, values] = await Promise.all([
          client.ensureQueryData({ queryKey: [path], queryFn: () => get<Places>(path), staleTime: 60_000 }),
          get<Values>(query("/api/map/values", { kind, property: property! })),
        ]);
        const layer = new Layer(kind, property!, places, properties.find((one) => one.name === property)?.unit ?? "");
        layer.take(values);
        layer.live();
        return layer;
      }),
    ).then((made) => {
      if (!gone) setLayers(made);
    });
    return () => {
      gone = true;
    };
  }, [kinds, client]);

  // What comes: folded into the arrays, drawn at most a few times a second.
  const pending = useRef(false);
  const wanted = useMemo(() => kinds.map(({ kind, property }) => `of=${encodeURIComponent(`${kind}:${property}`)}`).join("&"), [kinds]);
  const past = moment !== null;
  useEvents(wanted || null, {
    values: ({ s, v, t: at }) => {
      const ours = layers.filter((layer) => layer.hear(s, v, at)).length > 0;
      if (!ours || past || pending.current) return;
      pending.current = true;
      setTimeout(() => {
        pending.current = false;
        for (const layer of layers) layer.live();
        setTurn((n) => n + 1);
      }, 200);
    },
  });

  // What moves: where it is by now.
  const moving = layers.some((layer) => layer.places.moves) && !past;
  useEffect(() => {
    if (!moving) return undefined;
    const timer = setInterval(() => {
      for (const old of layers.filter((layer) => layer.places.moves))
        void get<Places>(query("/api/map/places", { kind: old.kind }))
          .then((places) => setLayers((all) => all.map((one) => (one === old ? old.moved(places) : one))))
          .catch(() => undefined); // the link is away: it stays where it was
    }, MOVES_MS);
    return () => clearInterval(timer);
  }, [moving, layers]);

  // A past hour, frame by frame.
  const frames = useQueries({
    queries: moment?.from // 0: the time bar has not chosen an hour yet
      ? kinds.map(({ kind, property, properties }) => {
          const of = (name: string) => properties.find((one) => one.name === name)?.streams ?? 0;
          const streams = of(property!) + 2 * of("position"); // of what moves also where it was: two figures
          const step = Math.max(STEP_S, Math.ceil((3600 * streams) / 500_000)); // the city gives at most so many figures at once
          const path = query("/api/map/past", { kind, property: property!, from: new Date(moment.from).toISOString(), to: new Date(moment.from + HOUR_MS).toISOString(), step });
          return { queryKey: [path], queryFn: () => get<Past>(path), staleTime: Infinity };
        })
      : [],
  });
  const loaded = frames.map((one) => one.data?.kind).join();
  useEffect(() => {
    for (const layer of layers) {
      const told = frames.find((one) => one.data?.kind === layer.kind)?.data;
      if (!moment) layer.live();
      else if (told) layer.at(told, Math.round((moment.at - told.start) / told.step));
    }
    setTurn((n) => n + 1);
  }, [moment, loaded, layers]); // eslint-disable-line

  // The canvas lives as long as the page.
  const hears = useRef({ measured: (_: Spot) => {} });
  hears.current.measured = (spot) => setMeasure((before) => [...(before ?? []), spot].slice(-200));
  const say = useCallback((changes: Record<string, string | null>) => {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) if (value === null) next.delete(name);
      else next.set(name, value);
    go(`map?${next}`, { replace: true });
  }, []);
  useEffect(() => {
    const made = new Canvas(
      holder.current!,
      city,
      dark,
      sightOf(asked),
      {
        thing: (thing) => setChosen({ thing }),
        building: (building, spot) => setChosen({ building, spot }),
        nothing: () => setChosen(null),
        measured: (spot) => hears.current.measured(spot),
        moved: ({ lon, lat, zoom, pitch, bearing }) => {
          setView(canvas.current?.view() ?? null);
          say({ view: [lon.toFixed(5), lat.toFixed(5), zoom.toFixed(2), pitch.toFixed(0), bearing.toFixed(0)].join("/") });
        },
      },
      { map: t("map.title") },
    );
    canvas.current = made;
    return () => {
      canvas.current = null;
      made.destroy();
    };
  }, [city.tiles]); // eslint-disable-line
  useEffect(() => canvas.current?.theme(dark), [dark]);
  useEffect(() => canvas.current?.measure(measure !== null), [measure]);
  useEffect(() => canvas.current?.sun(sun?.place ?? null, sun?.shadow ?? null), [sun]);
  const alerts = useMemo(() => new Set((desk.data?.notices ?? []).filter((one) => one.about !== null && one.severity !== "info").map((one) => one.about!)), [desk.data]);
  const thing = chosen && "thing" in chosen ? chosen.thing : null;
  useEffect(() => {
    setEvery(canvas.current?.draw({ layers, chosen: thing, alerts, measure: measure ?? [] }) ?? 1);
    if (holder.current) holder.current.dataset["turn"] = String(turn);
  }, [layers, thing, alerts, measure, turn, dark]);
  useEffect(() => say({ thing: thing === null ? null : String(thing) }), [thing, say]);
  useEffect(() => say({ off: off.size ? [...off].join(",") : null }), [off, say]);
  useEffect(() => {
    // When it has come to rest: a browser takes only so many changes of its address.
    const rest = setTimeout(() => say({ at: moment?.from ? String(Math.round(moment.at)) : null }), 400);
    return () => clearTimeout(rest);
  }, [moment, say]);

  const share = async () => {
    await navigator.clipboard?.writeText(location.href).catch(() => undefined);
    setCopied(true);
    setTimeout(() => setCopied(false), 2500);
  };
  const tool = (name: Parameters<typeof Icon>[0]["name"], label: string, on: boolean, press: () => void) => (
    <button type="button" className="tool" aria-pressed={on} aria-label={label} title={label} onClick={press}>
      <Icon name={name} />
    </button>
  );
  return (
    <div className="map-page">
      <h1 id="title" className="unseen">{t("map.title")}</h1>
      <div ref={holder} className="map" />
      <div className="map-top">
        <Search
          found={(one) => {
            setChosen({ thing: one.id });
            if (one.lon !== null && one.lat !== null) canvas.current?.fly([one.lon, one.lat]);
          }}
        />
        <div className="tools" role="group" aria-label={t("map.tools")}>
          {tool("layers", t("map.layers"), panel === "layers", () => setPanel(panel === "layers" ? null : "layers"))}
          {tool("locate", t("map.near"), panel === "near", () => {
            setView(canvas.current?.view() ?? null);
            setPanel(panel === "near" ? null : "near");
          })}
          {tool("clock", t("map.past"), past, () => setMoment(moment ? null : { at: Date.now(), from: 0 }))}
          {tool("sun", t("map.sun"), panel === "sun", () => {
            setPanel(panel === "sun" ? null : "sun");
            if (panel === "sun") setSun(null);
          })}
          {tool("measure", t("map.measure"), measure !== null, () => setMeasure(measure ? null : []))}
          {tool("share", t("map.share"), false, () => void share())}
        </div>
      </div>
      {panel === "layers" && (
        <Layers
          kinds={shownKinds}
          layers={layers}
          off={off}
          turn={turn}
          every={every}
          toggle={(kind) =>
            setOff((before) => {
              const next = new Set(before);
              if (!next.delete(kind)) next.add(kind);
              return next;
            })
          }
        />
      )}
      {panel === "near" && (
        <Near
          layers={layers}
          view={view}
          choose={(thing, spot) => {
            setChosen({ thing });
            canvas.current?.fly(spot);
          }}
        />
      )}
      {panel === "sun" && <SunPanel city={city} changed={setSun} />}
      {measure && (
        <p className="map-note" role="status">
          {measure.length < 2 ? t("map.measure.hint") : t("map.measure.length", { metres: number(distance(measure), language) })}
          {measure.length > 2 && ` · ${t("map.measure.area", { area: number(area(measure), language) })}`}
          {measure.length > 0 && (
            <button type="button" className="plain" onClick={() => {
                setMeasure([]);
                keepFocusSoon();
              }}
            >
              {t("map.measure.again")}
            </button>
          )}
        </p>
      )}
      {copied && (
        <p className="map-note" role="status">
          {t("map.copied")}
        </p>
      )}
      {chosen && <Inspector chosen={chosen} close={() => setChosen(null)} at={moment?.at} />}
      {moment && <TimeBar moment={moment} change={setMoment} loading={frames.some((one) => one.isLoading)} error={frames.find((one) => one.error)?.error ?? null} />}
    </div>
  );
}
