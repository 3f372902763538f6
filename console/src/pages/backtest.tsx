// A backtest on the city's own past, and what would be if its parameters were others: nothing is sent or written.
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";
import { Button, Label, ProgressBar } from "react-aria-components";

import { query, Refused, send, useAsk } from "../api";
import { moment, number } from "../format";
import { useWords, type Key } from "../language";
import { Broken, Card } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";
import type { Side, Things } from "../map/sides";

const Sides = lazy(() => import("../map/sides")); // with the map, which is large

type Figure = "ticks" | "held" | "decided" | "commands" | "changes" | "estimates" | "agree" | "compared" | "differ";
type Result = Record<Figure, number> & { params: Record<string, unknown>; things: Things | Record<string, never> };
interface Trial {
  id: string;
  practice: string;
  from: number;
  to: number;
  share: number;
  trouble: string;
  done: boolean;
  results: Result[] | null;
}
export interface Param {
  name: string;
  value: unknown;
  default: unknown;
}

const FIGURES: [Figure, Key][] = [
  ["ticks", "backtest.ticks"],
  ["held", "backtest.held"],
  ["decided", "backtest.decided"],
  ["commands", "backtest.commands"],
  ["changes", "backtest.changes"],
  ["estimates", "backtest.estimates"],
  ["compared", "backtest.compared"],
  ["agree", "backtest.agree"],
];
const SPANS: [number, Key][] = [
  [60, "backtest.minute"],
  [600, "backtest.minutes"],
  [3600, "span.hour"],
  [86_400, "span.day"],
];

export function Backtest({ practice, params }: { practice: string; params: Param[] }) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const [error, setError] = useState<Error | null>(null);
  const [seconds, setSeconds] = useState(3600);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const path = query("/api/backtests", { practice });
  const trials = useAsk<Trial[]>(path, 1000);
  const last = trials.data?.[0];
  const running = last !== undefined && !last.done;
  const begin = async () => {
    setError(null);
    try {
      const other = variant(params, typed, (name) => t("backtest.bad", { name }));
      await send("POST", "/api/backtests", { practice, seconds, what_if: Object.keys(other).length ? [other] : [] });
      await client.invalidateQueries({ queryKey: [path] });
    } catch (thrown) {
      setError(thrown as Error);
    }
  };
  return (
    <Card title={t("backtest.title")}>
      <p className="quiet">{t("backtest.what")}</p>
      <form
        className="trial"
        onSubmit={(event) => {
          event.preventDefault();
          void begin();
        }}
      >
        {params.length > 0 && (
          <details>
            <summary>{t("backtest.other")}</summary>
            <p className="quiet">{t("backtest.other.what")}</p>
            <div className="grid">
              {params.map(({ name, value }) => (
                <label key={name} className="field">
                  <span>{name.replaceAll("_", " ")}</span>
                  <input value={typed[name] ?? ""} placeholder={written(value)} onChange={(event) => setTyped({ ...typed, [name]: event.target.value })} />
                </label>
              ))}
            </div>
          </details>
        )}
        <div className="actions">
          <label className="field inline">
            <span>{t("backtest.span")}</span>
            <select value={seconds} onChange={(event) => setSeconds(Number(event.target.value))}>
              {SPANS.map(([length, key]) => (
                <option key={length} value={length}>
                  {t(key)}
                </option>
              ))}
            </select>
          </label>
          <Button type="submit" className="plain" isDisabled={running}>
            {t("backtest.begin")}
          </Button>
        </div>
      </form>
      {error && <Broken error={error} />}
      {last && (
        <>
          <p className="quiet">
            {moment(last.from, language)} – {moment(last.to, language)}
          </p>
          {running && (
            <ProgressBar value={100 * last.share} className="progress">
              {({ percentage, valueText }) => (
                <>
                  <Label>{t("backtest.running")}</Label>
                  <span>{valueText}</span>
                  <svg viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true">
                    <rect width={100} height={2} className="bed" />
                    <rect width={percentage ?? 0} height={2} />
                  </svg>
                </>
              )}
            </ProgressBar>
          )}
          {last.trouble && <p className="trouble">{last.trouble}</p>}
          {last.results && <Results practice={practice} results={last.results} />}
        </>
      )}
    </Card>
  );
}

/** As it is beside what would be; the same views went to both. */
function Results({ practice, results }: { practice: string; results: Result[] }) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const [ask, setAsk] = useState<Ask | null>(null);
  const [now, other] = results;
  const said = (result: Result) =>
    Object.entries(result.params)
      .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(now!.params[name]))
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${written(value)}`)
      .join(", ");
  const sides = useMemo(() => {
    const told = results.filter((one) => "thing" in one.things);
    return told.length === 2 ? (told.map((one, n) => ({ title: n ? `${t("backtest.if")}: ${said(one)}` : t("backtest.now"), things: one.things })) as [Side, Side]) : null;
  }, [JSON.stringify(results), t]); // eslint-disable-line
  const rows: [Figure, Key][] = other ? [...FIGURES, ["differ", "backtest.differ"]] : FIGURES;
  const put = (result: Result) =>
    setAsk({
      title: t("params.title"),
      what: <p>{said(result)}</p>,
      confirm: t("params.do"),
      done: async (why) => {
        await send("POST", `/api/practices/${encodeURIComponent(practice)}/parameters`, { params: result.params, why });
        await client.invalidateQueries();
      },
    });
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-label={t("backtest.results")}>
        <table aria-label={t("backtest.results")}>
          <thead>
            <tr>
              <th scope="col">
                <span className="unseen">{t("backtest.figure")}</span>
              </th>
              <th scope="col" className="n">
                {t("backtest.now")}
              </th>
              {other && (
                <th scope="col" className="n told">
                  {t("backtest.if")}: {said(other)}
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, key]) => (
              <tr key={name}>
                <th scope="row">{t(key)}</th>
                {results.map((result, column) => (
                  <td key={column} className={`n ${column && result[name] !== now![name] ? "other" : ""}`}>
                    {number(result[name], language)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {other && (
        <p className="actions">
          <Button className="plain" onPress={() => put(other)}>
            {t("params.open")}
          </Button>
        </p>
      )}
      {sides && (
        <Suspense>
          <Sides sides={sides} />
        </Suspense>
      )}
      <Reason ask={ask} close={() => setAsk(null)} />
    </>
  );
}

function written(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The parameters that were typed and are other than now; what is no text by nature is read as JSON. */
function variant(params: Param[], typed: Record<string, string>, bad: (name: string) => string): Record<string, unknown> {
  const told: Record<string, unknown> = {};
  for (const { name, value } of params) {
    const text = typed[name]?.trim();
    if (!text || text === written(value)) continue;
    try {
      told[name] = typeof value === "string" ? text : JSON.parse(text);
    } catch {
      throw new Refused(400, bad(name));
    }
  }
  return told;
}
