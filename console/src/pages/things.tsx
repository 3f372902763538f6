// Things and their streams: find, page through, add, and one thing whole.
import { useDeferredValue, useState } from "react";
import { Button } from "react-aria-components";

import { query, useAsk, type CityMap, type Found, type Stream, type Thing } from "../api";
import { useEvents, usePulse } from "../events";
import { clock, number, quantity, since } from "../format";
import { useWords } from "../language";
import { Asked, Card, Empty, Link, Page, Status } from "../parts/base";
import { Icon } from "../parts/icons";
import { go, usePlace } from "../router";
import { Actuators } from "./actuators";
import { AddThings } from "./add";
import { Edit, type Edited } from "./edit";
import { StreamChart } from "./stream";

const PAGE = 50;

interface Rows {
  things: Found[];
  next: number | null;
  count: number;
}

export function ThingsPage() {
  const { t, language, named } = useWords();
  const { query: asked } = usePlace();
  const kind = asked.get("kind") ?? "";
  const after = Number(asked.get("after") ?? 0);
  const [words, setWords] = useState(asked.get("search") ?? "");
  const search = useDeferredValue(words);
  const map = useAsk<CityMap>("/api/map");
  const things = useAsk<Rows>(query("/api/things", { search, kind, after, limit: PAGE }));
  const [adding, setAdding] = useState(asked.has("add"));
  const look = (next: string) => {
    setWords(next);
    if (after) go(`things?${new URLSearchParams({ kind, search: next })}`, { replace: true }); // what is found begins anew
  };
  const turn = (next: number) => go(`things?${new URLSearchParams({ kind, search, after: String(next) })}`);
  return (
    <Page
      title={t("things.title")}
      lead={t("things.lead")}
      actions={
        <Button className="primary" onPress={() => setAdding(!adding)} aria-expanded={adding}>
          {t("things.add")}
        </Button>
      }
    >
      {adding && <AddThings done={() => void things.refetch()} />}
      <div className="filters">
        <label className="field grow">
          <span>{t("search")}</span>
          <input type="search" value={words} placeholder={t("things.search.hint")} onChange={(event) => look(event.target.value)} maxLength={100} />
        </label>
        <label className="field">
          <span>{t("things.kind")}</span>
          <select value={kind} onChange={(event) => go(`things?${new URLSearchParams({ kind: event.target.value, search })}`, { replace: true })}>
            <option value="">{t("things.all")}</option>
            {map.data?.kinds.map((one) => (
              <option key={one.kind} value={one.kind}>
                {named("kind", one.kind)} ({number(one.things, language)})
              </option>
            ))}
          </select>
        </label>
      </div>
      <p className="unseen" role="status">
        {things.data && t("things.count", { n: things.data.count })}
      </p>
      <div className="card">
        <Asked of={things} rows={8}>
          {({ things: found, next, count }) => (
            <>
              <div className="scroll" tabIndex={0} role="group" aria-label={t("things.title")}>
                <table>
                  <caption>{t("things.count", { n: count })}</caption>
                  <thead>
                    <tr>
                      <th scope="col">{t("things.name")}</th>
                      <th scope="col">{t("things.kind")}</th>
                      <th scope="col" className="wide-only">
                        {t("things.key")}
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {found.map((one) => (
                      <tr key={one.id}>
                        <th scope="row">
                          <Link path={`things/${one.id}`}>{one.name || one.key}</Link>
                        </th>
                        <td className="short">{named("kind", one.kind)}</td>
                        <td className="wide-only">
                          <code>{one.key}</code>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {!found.length && <Empty icon="search">{t("things.none")}</Empty>}
              <div className="paging">
                <Button className="plain" isDisabled={!after} onPress={() => turn(0)}>
                  {t("page.first")}
                </Button>
                <Button className="plain" isDisabled={next === null} onPress={() => next !== null && turn(next)}>
                  {t("page.next")}
                </Button>
              </div>
            </>
          )}
        </Asked>
      </div>
    </Page>
  );
}

export function ThingPage({ id }: { id: number }) {
  const { t, named } = useWords();
  const [edited, setEdited] = useState<Edited | null>(null);
  const thing = useAsk<Thing>(`/api/things/${id}`, 5000);
  return (
    <Page
      title={thing.data?.name ?? t("thing.title")}
      lead={thing.data ? `${named("kind", thing.data.kind)} · ${thing.data.key}` : ""}
      actions={
        thing.data && (
          <>
            {thing.data.lon != null && (
              <Link path={`map?thing=${id}`} className="button plain">
                {t("thing.on.map")}
              </Link>
            )}
            <Button className="plain" aria-expanded={edited !== null} onPress={() => setEdited(edited ? null : { of: "Things", id, title: t("edit.thing") })}>
              {t("edit.open")}
            </Button>
          </>
        )
      }
    >
      <p className="crumb">
        <Link path="things">← {t("nav.things")}</Link>
      </p>
      {edited && <Edit key={`${edited.of}${edited.id}`} what={edited} done={() => setEdited(null)} />}
      <Asked of={thing} rows={6}>
        {(told) => (
          <div className="columns">
            <div>
              <Card title={t("thing.streams")} count={told.streams.length}>
                <Streams thing={told} edit={(stream) => setEdited({ of: "Datastreams", id: stream.id, title: t("edit.stream", { name: stream.property.replaceAll("_", " ") }) })} />
              </Card>
              {told.streams.slice(0, 4).map((stream) => (
                <StreamChart key={stream.id} stream={stream} />
              ))}
            </div>
            <div>
              <Actuators thing={told} />
              <Touched thing={told} />
              <Facts thing={told} />
            </div>
          </div>
        )}
      </Asked>
    </Page>
  );
}

/** The streams of a thing with their latest values, as they come. */
export function Streams({ thing, edit }: { thing: Thing; edit?: (stream: Stream) => void }) {
  const { t, language } = useWords();
  const { now } = usePulse();
  const [heard, setHeard] = useState(new Map<number, [number, number]>());
  useEvents(`thing=${thing.id}`, {
    values: ({ s, v, t: at }) =>
      setHeard((before) => {
        const next = new Map(before);
        s.forEach((stream, i) => next.set(stream, [v[i]!, at[i]!]));
        return next;
      }),
  });
  if (!thing.streams.length) return <Empty icon="things">{t("thing.no.streams")}</Empty>;
  return (
    <ul className="streams">
      {thing.streams.map((stream) => {
        const [value, time] = heard.get(stream.id) ?? [stream.value, stream.time];
        return (
          <li key={stream.id}>
            <span>
              {stream.property.replaceAll("_", " ")}
              {stream.personal && <span className="badge">{t("thing.personal")}</span>}
            </span>
            <b>{quantity(value, stream.si_unit, stream.property, language)}</b>
            <small className={time && now && now - time > 3_600_000 ? "warm-text" : ""} title={time ? clock(time, language) : ""}>
              {time ? (now ? since((time - now) / 1000, language) : clock(time, language)) : t("thing.never")}
            </small>
            {edit && (
              <Button className="tool" aria-label={t("edit.stream", { name: stream.property.replaceAll("_", " ") })} onPress={() => edit(stream)}>
                <Icon name="edit" size={16} />
              </Button>
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** The decisions that touched a thing, and why. */
export function Touched({ thing }: { thing: Thing }) {
  const { t, named, language } = useWords();
  return (
    <Card title={t("thing.touched")} icon="decisions">
      {thing.commands.length || thing.notices.length ? (
        <ul className="list tight">
          {thing.notices.slice(0, 5).map((notice) => (
            <li key={`${notice.decision}-${notice.at}`}>
              <span className={`badge severity-${notice.severity}`}>{named("severity", notice.severity)}</span> {notice.text}{" "}
              <Link path={`decisions/${notice.decision}`}>{t("why")}</Link>
            </li>
          ))}
          {thing.commands.slice(0, 8).map((command) => (
            <li key={`${command.decision}-${command.number}`}>
              <p>
                <time>{clock(command.at, language)}</time> → <b>{command.value}</b> <Status status={command.status} /> <Link path={`decisions/${command.decision}`}>{t("why")}</Link>
              </p>
              <p className="quiet">{command.why}</p>
            </li>
          ))}
        </ul>
      ) : (
        <Empty icon="decisions">{t("thing.untouched")}</Empty>
      )}
    </Card>
  );
}

export function Facts({ thing }: { thing: Thing }) {
  const { t } = useWords();
  const facts = Object.entries(thing.facts);
  return (
    <Card title={t("thing.facts")}>
      <dl className="facts even">
        {thing.description && (
          <div>
            <dt>{t("thing.description")}</dt>
            <dd>{thing.description}</dd>
          </div>
        )}
        {thing.lon !== null && thing.lat !== null && (
          <div>
            <dt>{t("thing.place")}</dt>
            <dd>
              {thing.lat.toFixed(5)}, {thing.lon.toFixed(5)}
            </dd>
          </div>
        )}
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll("_", " ")}</dt>
            <dd>
              <Fact value={value} />
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}

const LONGEST = 48; // characters of a structure that is shown at once

function Fact({ value }: { value: unknown }) {
  const { t } = useWords();
  if (typeof value !== "object") return String(value);
  const told = JSON.stringify(value);
  if (told.length <= LONGEST) return <code>{told}</code>;
  return (
    <details>
      <summary>{t("thing.fact.show")}</summary>
      <code>{told}</code>
    </details>
  );
}
