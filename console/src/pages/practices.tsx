// Practices: what each decides, how far it may go, on what it looks, and what came of its wishes.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Radio, RadioGroup } from "react-aria-components";

import { send, useAsk, type Decision, type Mandate as MandateOf, type Practice } from "../api";
import { usePulse } from "../events";
import { clock, moment, number, since } from "../format";
import { useWords } from "../language";
import { Asked, Card, Empty, FateBar, Link, Mandate, Page } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";
import { Backtest, type Param } from "./backtest";

interface Need {
  property: string;
  kind: string;
  unit: string;
  window_s: number;
  stale_s: number | null;
  streams: number;
  heard: number;
  fresh: number;
  newest: number | null;
}
interface Detail extends Practice {
  register: Record<string, string>;
  needs: Need[];
  params: Param[];
  mandates: { mandate: string; who: string; why: string; at: number }[];
  incidents: { seq: number; at: number; what: string; why: string }[];
}

const MANDATES: MandateOf[] = ["advise", "approve", "act"];

export function PracticesPage() {
  const { t, language } = useWords();
  const practices = useAsk<Practice[]>("/api/practices", 5000);
  const client = useQueryClient();
  const status = useAsk<{ advise_only: boolean }>("/api/status", 10_000);
  const [ask, setAsk] = useState<Ask | null>(null);
  const on = status.data?.advise_only ?? false;
  return (
    <Page
      title={t("practices.title")}
      lead={t("practices.lead")}
      actions={
        <Button
          className={on ? "primary" : "plain bad"}
          onPress={() =>
            setAsk({
              title: t(on ? "switch.off.title" : "switch.on.title"),
              what: t(on ? "switch.off.what" : "switch.on.what"),
              confirm: t(on ? "switch.off.do" : "switch.on.do"),
              tone: on ? "good" : "bad",
              done: async (why) => {
                await send("POST", "/api/switch", { advise_only: !on, why });
                await client.invalidateQueries();
              },
            })
          }
        >
          {t(on ? "switch.off.do" : "switch.on.do")}
        </Button>
      }
    >
      <Asked of={practices}>
        {(all) => (
          <div className="tiles">
            {all.map((practice) => (
              <article key={practice.id} className={`card practice ${practice.trouble ? "bad" : ""}`}>
                <header>
                  <h2>
                    <Link path={`practices/${practice.id}`}>{practice.title || practice.id}</Link>
                  </h2>
                  {practice.mandate && <Mandate mandate={practice.mandate} />}
                </header>
                <p lang="en">{practice.purpose}</p>
                {practice.trouble && <p className="trouble">{practice.trouble}</p>}
                {practice.mandate && (
                  <>
                    <dl className="row">
                      <div>
                        <dt>{t("practice.decisions")}</dt>
                        <dd>{number(practice.decisions, language)}</dd>
                      </div>
                      <div>
                        <dt>{t("practice.every")}</dt>
                        <dd>{number(practice.every_s, language)} s</dd>
                      </div>
                      <div>
                        <dt>{t("practice.last")}</dt>
                        <dd>{practice.last ? clock(Date.parse(practice.last), language) : "–"}</dd>
                      </div>
                    </dl>
                    <FateBar fates={practice.commands} />
                  </>
                )}
              </article>
            ))}
          </div>
        )}
      </Asked>
      <Reason ask={ask} close={() => setAsk(null)} />
    </Page>
  );
}

export function PracticePage({ id }: { id: string }) {
  const { t } = useWords();
  const path = `/api/practices/${encodeURIComponent(id)}`;
  const practice = useAsk<Detail>(path, 5000);
  const decisions = useAsk<Decision[]>(`/api/decisions?practice=${encodeURIComponent(id)}&limit=12`, 5000);
  return (
    <Page title={practice.data?.title ?? id} lead={practice.data && <span lang="en">{practice.data.register["purpose"]}</span>}>
      <p className="crumb">
        <Link path="practices">← {t("nav.practices")}</Link>
      </p>
      <Asked of={practice} rows={6}>
        {(told) => (
          <>
            {told.trouble && <p className="banner bad">{told.trouble}</p>}
            <div className="columns">
              <div>
                <Rule practice={told} path={path} />
                <Card title={t("practice.came")}>
                  <FateBar fates={told.commands} />
                </Card>
                <Needs needs={told.needs} />
                <Score path={path} />
                <Plain practice={told} />
              </div>
              <div>
                <Card title={t("practice.last.decisions")}>
                  <Asked of={decisions}>{(all) => <Last decisions={all} />}</Asked>
                </Card>
                <About practice={told} />
              </div>
            </div>
            <Backtest practice={told.id} params={told.params} />
          </>
        )}
      </Asked>
    </Page>
  );
}

function Rule({ practice, path }: { practice: Detail; path: string }) {
  const { t, named, language } = useWords();
  const client = useQueryClient();
  const [ask, setAsk] = useState<Ask | null>(null);
  const change = (mandate: string) => {
    if (mandate === practice.mandate) return;
    setAsk({
      title: t("mandate.change", { mandate: named("mandate", mandate) }),
      what: <p>{named("mandate.means", mandate)}</p>,
      confirm: t("mandate.do"),
      done: async (why) => {
        await send("POST", `${path}/mandate`, { mandate, why });
        await client.invalidateQueries({ queryKey: [path] });
      },
    });
  };
  return (
    <Card title={t("mandate.title")}>
      <RadioGroup aria-label={t("mandate.title")} value={practice.mandate} onChange={change} orientation="horizontal" className="choice">
        {MANDATES.map((mandate) => (
          <Radio key={mandate} value={mandate} className="choice-one">
            <b>{named("mandate", mandate)}</b>
            <span>{named("mandate.means", mandate)}</span>
          </Radio>
        ))}
      </RadioGroup>
      {practice.mandates.length > 0 && (
        <ul className="list tight">
          {practice.mandates.slice(0, 4).map((one) => (
            <li key={one.at}>
              <Mandate mandate={one.mandate} /> {one.who}
              {one.why && `: ${one.why}`} {one.at > 0 && <span className="quiet">{moment(one.at, language)}</span>}
            </li>
          ))}
        </ul>
      )}
      <Reason ask={ask} close={() => setAsk(null)} />
    </Card>
  );
}

interface Scored {
  property: string;
  unit: string;
  n: number;
  error: number | null;
  unchanged: number | null;
}

/** How well it foretold, beside "nothing changes"; nothing of a practice that foretells nothing. */
function Score({ path }: { path: string }) {
  const { t, language } = useWords();
  const scores = useAsk<Scored[]>(`${path}/score`, 60_000);
  if (!scores.data?.length) return null;
  const said = (value: number | null) => (value === null ? "–" : number(value, language, Math.max(0, 2 - Math.floor(Math.log10(Math.max(value, 1e-3))))));
  return (
    <Card title={t("score.title")}>
      <p className="quiet">{t("score.what")}</p>
      <div className="scroll" tabIndex={0} role="group" aria-label={t("score.title")}>
        <table aria-label={t("score.title")}>
          <thead>
            <tr>
              <th scope="col">{t("score.property")}</th>
              <th scope="col" className="n">{t("score.error")}</th>
              <th scope="col" className="n">{t("score.unchanged")}</th>
              <th scope="col" className="n">{t("score.n")}</th>
            </tr>
          </thead>
          <tbody>
            {scores.data.map((one) => (
              <tr key={one.property}>
                <th scope="row">
                  {one.property.replaceAll("_", " ")} {one.unit !== "1" && <span className="quiet">{one.unit}</span>}
                </th>
                <td className={`n ${one.n && one.error! < one.unchanged! ? "other" : ""}`}>{said(one.error)}</td>
                <td className="n">{said(one.unchanged)}</td>
                <td className="n">{number(one.n, language)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Needs({ needs }: { needs: Need[] }) {
  const { t, language } = useWords();
  const { now } = usePulse();
  return (
    <Card title={t("needs.title")}>
      <div className="scroll" tabIndex={0} role="group" aria-label={t("needs.title")}>
        <table aria-label={t("needs.title")}>
          <thead>
            <tr>
              <th scope="col">{t("needs.what")}</th>
              <th scope="col" className="n">{t("needs.fresh")}</th>
              <th scope="col">{t("needs.newest")}</th>
            </tr>
          </thead>
          <tbody>
            {needs.map((need) => (
              <tr key={`${need.kind}/${need.property}`}>
                <th scope="row">
                  {need.property.replaceAll("_", " ")} <span className="quiet">{need.kind.replaceAll("_", " ")}</span>
                </th>
                <td className="n">
                  <span className={need.streams && need.fresh < need.streams ? "warm-text" : ""}>
                    {number(need.fresh, language)} / {number(need.streams, language)}
                  </span>
                </td>
                <td>{need.newest && now ? since((need.newest - now) / 1000, language) : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

export function Last({ decisions }: { decisions: Decision[] }) {
  const { t, language } = useWords();
  if (!decisions.length) return <Empty icon="decisions">{t("decisions.none")}</Empty>;
  return (
    <ol className="list decisions">
      {decisions.map((decision) => (
        <li key={decision.id}>
          <time>{clock(decision.tick / 1000, language)}</time>
          <div>
            <p>
              <Link path={`decisions/${decision.id}`} aria-label={`${decision.practice}, ${clock(decision.tick / 1000, language)}`}>
                {decision.practice}
              </Link>{" "}
              <span className="quiet">{decision.commands ? t("decision.commands", { n: decision.commands }) : t("decision.nothing")}</span>
            </p>
            {decision.because && <p className="quiet" lang="en">{decision.because}</p>}
          </div>
        </li>
      ))}
    </ol>
  );
}

const ABOUT = ["decides", "data", "personal_data", "oversight", "logic", "limits", "owner", "reference"];

function Plain({ practice }: { practice: Detail }) {
  const { t, named } = useWords();
  return (
    <Card title={t("practice.register")}>
      <dl className="facts">
        {ABOUT.filter((name) => practice.register[name]).map((name) => (
          <div key={name}>
            <dt>{named("register", name)}</dt>
            <dd lang="en">{practice.register[name]}</dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}

function About({ practice }: { practice: Detail }) {
  const { t, named, language } = useWords();
  return (
    <>
      {practice.incidents.length > 0 && (
        <Card title={t("practice.incidents")}>
          <ul className="list tight">
            {practice.incidents.slice(0, 6).map((one) => (
              <li key={one.seq}>
                <span className={`badge incident-${one.what}`}>{named("incident", one.what)}</span> {one.why} <span className="quiet">{moment(one.at, language)}</span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {practice.params.length > 0 && (
        <Card title={t("practice.params")}>
          <dl className="facts even">
            {practice.params.map(({ name, value }) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  <code>{JSON.stringify(value)}</code>
                </dd>
              </div>
            ))}
          </dl>
        </Card>
      )}
    </>
  );
}
