// The record: the last decisions, and the story of one.
import { useState } from "react";

import { useAsk, type Decision, type Practice, type Story } from "../api";
import { clock, day, moment } from "../format";
import { useWords } from "../language";
import { Asked, Card, Link, Mandate, Page, Status } from "../parts/base";
import { TIERS } from "../parts/takeover";
import { Last } from "./practices";

export function DecisionsPage() {
  const { t } = useWords();
  const [practice, setPractice] = useState("");
  const practices = useAsk<Practice[]>("/api/practices");
  const decisions = useAsk<Decision[]>(`/api/decisions?limit=100${practice && `&practice=${encodeURIComponent(practice)}`}`, 5000);
  return (
    <Page
      title={t("decisions.title")}
      lead={t("decisions.lead")}
      actions={
        <label className="field">
          <span>{t("decisions.of")}</span>
          <select value={practice} onChange={(event) => setPractice(event.target.value)}>
            <option value="">{t("decisions.all")}</option>
            {practices.data?.map((one) => (
              <option key={one.id} value={one.id}>
                {one.title || one.id}
              </option>
            ))}
          </select>
        </label>
      }
    >
      <section className="card" aria-label={t("decisions.title")}>
        <Asked of={decisions} rows={8}>
          {(all) => <Last decisions={all} />}
        </Asked>
      </section>
    </Page>
  );
}

export function DecisionPage({ id }: { id: string }) {
  const { t, language } = useWords();
  const story = useAsk<Story>(`/api/decisions/${encodeURIComponent(id)}`, 5000);
  const entry = story.data?.entry;
  return (
    <Page title={t("decision.title")} lead={entry ? `${entry.who ?? entry.practice}, ${day(entry.tick / 1000, language)}, ${clock(entry.tick / 1000, language)}` : id}>
      <p className="crumb">
        <Link path="decisions">← {t("nav.decisions")}</Link>
      </p>
      <Asked of={story} rows={6}>
        {(told) => <Told story={told} />}
      </Asked>
    </Page>
  );
}

function Told({ story }: { story: Story }) {
  const { t, named, language } = useWords();
  const { entry, events } = story;
  const { plan } = entry;
  const seen = Object.entries(entry.cut).map(([shard, last]) => `${shard} ${last}`);
  return (
    <div className="columns story">
      <div>
        <Card title={t("decision.why")}>
          <p className="because" lang={plan.because ? "en" : undefined}>{plan.because || t("decision.no.reason")}</p>
          <p className="quiet">
            <Mandate mandate={entry.mandate} /> {entry.advise_only && t("decision.switched")}
          </p>
          <p className="actions">
            <a className="button plain" href={`/decisions/${encodeURIComponent(entry.id)}`}>
              {t("decision.public")}
            </a>
          </p>
        </Card>
        <Card title={t("decision.wished")} count={plan.commands.length}>
          <ol className="list">
            {plan.commands.map((command, number) => (
              <li key={number}>
                <p>
                  <b>{story.names[command.actuator] ?? command.actuator}</b> → <b>{command.value}</b>{" "}
                  <span className={`badge tier-${TIERS[command.tier]}`}>{named("tier", TIERS[command.tier] ?? "")}</span>{" "}
                  <span className="quiet">{t("decision.until", { time: clock(command.until / 1000, language) })}</span>
                </p>
                {command.because && <p className="quiet" lang="en">{command.because}</p>}
                <ul className="steps">
                  {events
                    .filter((event) => event.command === number)
                    .map((event, step) => (
                      <li key={step}>
                        <time>{clock(event.at / 1000, language)}</time> <Status status={event.what} />{" "}
                        <span className="quiet">
                          {[event.who, event.why].filter(Boolean).join(": ")}
                          {event.observation !== null && ` ${t("decision.observed", { id: String(event.observation) })}`}
                        </span>
                      </li>
                    ))}
                </ul>
              </li>
            ))}
          </ol>
          {!plan.commands.length && <p className="quiet">{t("decision.nothing")}</p>}
        </Card>
      </div>
      <div>
        {plan.notices.length > 0 && (
          <Card title={t("decision.notices")}>
            <ul className="list">
              {plan.notices.map((notice, number) => (
                <li key={number}>
                  <span className={`badge severity-${notice.severity}`}>{named("severity", notice.severity)}</span> {notice.text}
                </li>
              ))}
            </ul>
          </Card>
        )}
        <Card title={t("decision.proof")}>
          <dl className="facts">
            <div>
              <dt>{t("decision.line")}</dt>
              <dd>{story.sequence}</dd>
            </div>
            <div>
              <dt>{t("decision.tick")}</dt>
              <dd>{moment(entry.tick / 1000, language)} UTC</dd>
            </div>
            <div>
              <dt>{t("decision.cut")}</dt>
              <dd>{seen.join(", ")}</dd>
            </div>
            {Object.entries(entry.digests ?? {}).map(([name, digest]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  <code>{digest.slice(0, 16)}…</code>
                </dd>
              </div>
            ))}
          </dl>
          <p className="quiet">{t("decision.replay")}</p>
          <pre tabIndex={0}>civium replay</pre>
        </Card>
      </div>
    </div>
  );
}
