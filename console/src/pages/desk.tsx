// The desk: what needs a person now, first; then how the city is.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { useDesk } from "../app";
import { Refused, send, type Desk, type Waiting } from "../api";
import { usePulse } from "../events";
import { clock, moment, short, since } from "../format";
import { useWords } from "../language";
import { Asked, Card, Empty, Link, Page } from "../parts/base";
import { Icon } from "../parts/icons";
import { Reason, type Ask } from "../parts/reason";
import { TakeOver, type Target } from "../parts/takeover";
import { Alarms } from "./alarms";

export function DeskPage() {
  const { t } = useWords();
  const desk = useDesk();
  return (
    <Page title={t("desk.title")} lead={t("desk.lead")}>
      <Asked of={desk} rows={6}>
        {(data) => <Told desk={data} />}
      </Asked>
    </Page>
  );
}

function Told({ desk }: { desk: Desk }) {
  const { t, named, language } = useWords();
  const troubles = Object.entries(desk.troubles);
  const broken = troubles.length + desk.practices.length + (desk.dead_letters ? 1 : 0);
  if (!desk.figures.things) return <Newcomer />;
  return (
    <>
      <Figures desk={desk} />
      <div className="columns">
        <div>
          <Approvals waiting={desk.waiting} />
          <Alarms />
          <Card title={t("desk.broken")} icon="alert" count={broken} tone={broken ? "bad" : ""}>
            {broken ? (
              <ul className="list">
                {desk.practices.map((practice) => (
                  <li key={practice.id}>
                    <Link path={`practices/${practice.id}`}>{practice.title || practice.id}</Link>
                    <p className="quiet">{practice.trouble}</p>
                  </li>
                ))}
                {troubles.map(([name, why]) => (
                  <li key={name}>
                    <b>{name}</b>
                    <p className="quiet">{why}</p>
                  </li>
                ))}
                {desk.dead_letters > 0 && (
                  <li>
                    <Link path="settings">{t("desk.letters", { n: desk.dead_letters })}</Link>
                    <p className="quiet">{t("desk.letters.what")}</p>
                  </li>
                )}
              </ul>
            ) : (
              <Empty>{t("desk.well")}</Empty>
            )}
          </Card>
        </div>
        <div>
          <Card title={t("desk.notices")} icon="cases" count={desk.notices.length}>
            {desk.notices.length ? (
              <ul className="list">
                {desk.notices.slice(0, 8).map((notice) => (
                  <li key={`${notice.decision}-${notice.at}-${notice.text}`}>
                    <p>
                      <span className={`badge severity-${notice.severity}`}>{named("severity", notice.severity)}</span> {notice.text}
                    </p>
                    <p className="quiet">
                      <time>{moment(notice.at, language)}</time> · <Link path={`decisions/${notice.decision}`}>{t("why")}</Link>
                      {notice.about !== null && (
                        <>
                          {" · "}
                          <Link path={`things/${notice.about}`}>{t("desk.about")}</Link>
                        </>
                      )}
                    </p>
                  </li>
                ))}
              </ul>
            ) : (
              <Empty>{t("desk.notices.none")}</Empty>
            )}
          </Card>
          <Card title={t("desk.silent")} icon="clock" count={desk.silent.count} tone={desk.silent.count ? "warm" : ""}>
            {desk.silent.count ? (
              <ul className="list tight">
                {desk.silent.streams.slice(0, 8).map((stream) => (
                  <li key={stream.id}>
                    <Link path={`things/${stream.thing}`}>{stream.name}</Link>{" "}
                    <span className="quiet">
                      {stream.property.replaceAll("_", " ")}, {since((stream.time - desk.now) / 1000, language)}
                    </span>
                  </li>
                ))}
              </ul>
            ) : (
              <Empty>{t("desk.silent.none")}</Empty>
            )}
          </Card>
        </div>
      </div>
    </>
  );
}

function Newcomer() {
  const { t } = useWords();
  return (
    <Card title={t("start.empty")} icon="start">
      <p>{t("start.invite")}</p>
      <p>
        <Link path="start" className="button primary">
          {t("start.go")}
        </Link>
      </p>
    </Card>
  );
}

function Figures({ desk }: { desk: Desk }) {
  const { t, language } = useWords();
  const { figures } = desk;
  const told: [string, string, string?][] = [
    [t("figure.things"), short(figures.things, language)],
    [t("figure.heard"), short(figures.heard, language), t("figure.of", { n: short(figures.streams, language) })],
    [t("figure.observations"), short(figures.observations, language)],
    [t("figure.decisions"), short(figures.decisions, language)],
  ];
  return (
    <dl className="figures">
      {told.map(([name, value, more]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value} {more && <small>{more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Approvals({ waiting }: { waiting: Desk["waiting"] }) {
  const { t, named } = useWords();
  const client = useQueryClient();
  const [ask, setAsk] = useState<Ask | null>(null);
  const [target, setTarget] = useState<Target | null>(null);
  const address = (command: Waiting, verdict: string) => `/api/decisions/${encodeURIComponent(command.decision)}/commands/${command.number}/${verdict}`;
  const take = (command: Waiting) =>
    setTarget({
      actuator: command.capability,
      name: command.of || command.actuator,
      facts: command.facts,
      over: command.tier,
      after: (why) =>
        send("POST", address(command, "refuse"), { why: t("take.refusal", { why }) }).catch((error: unknown) => {
          if (!(error instanceof Refused && error.status === 409)) throw error; // it has lapsed meanwhile: it is out of the way
        }),
    });
  const judge = (command: Waiting, verdict: "approve" | "refuse") =>
    setAsk({
      title: t(`desk.${verdict}.title`),
      what: (
        <p>
          <b>{command.of || command.actuator}</b> → {command.value}
          <br />
          <span className="quiet">{command.why}</span>
        </p>
      ),
      confirm: t(`desk.${verdict}`),
      tone: verdict === "approve" ? "good" : "bad",
      needed: verdict === "refuse",
      done: async (why) => {
        await send("POST", address(command, verdict), { why });
        await client.invalidateQueries({ queryKey: ["/api/desk"] });
      },
    });
  return (
    <Card title={t("desk.waiting")} icon="check" count={waiting.count} tone={waiting.count ? "urgent-card" : ""}>
      {waiting.count ? (
        <ul className="list waiting">
          {waiting.commands.map((command) => (
            <li key={`${command.decision}-${command.number}`}>
              <div>
                <p>
                  <span className={`badge tier-${command.tier}`}>{named("tier", command.tier)}</span>{" "}
                  {command.thing === null ? <b>{command.actuator}</b> : <Link path={`things/${command.thing}`}>{command.of || command.actuator}</Link>} → <b>{command.value}</b>
                </p>
                <p className="quiet">
                  {command.why}. <Link path={`decisions/${command.decision}`}>{t("why")}</Link>
                </p>
              </div>
              <Left until={command.until} />
              <div className="verdict">
                <Button className="plain" onPress={() => take(command)} aria-label={t("take.label", { name: command.of || command.actuator })}>
                  {t("take.open")}
                </Button>
                <Button className="plain bad" onPress={() => judge(command, "refuse")} aria-label={t("desk.refuse.label", { name: command.of || command.actuator })}>
                  {t("desk.refuse")}
                </Button>
                <Button className="primary good" onPress={() => judge(command, "approve")} aria-label={t("desk.approve.label", { name: command.of || command.actuator })}>
                  {t("desk.approve")}
                </Button>
              </div>
            </li>
          ))}
        </ul>
      ) : (
        <Empty>{t("desk.waiting.none")}</Empty>
      )}
      <Reason ask={ask} close={() => setAsk(null)} />
      <TakeOver of={target} close={() => setTarget(null)} />
    </Card>
  );
}

/** How long a person has left. */
function Left({ until }: { until: number }) {
  const { t, language } = useWords();
  const { now } = usePulse();
  const seconds = Math.max(0, (until - now) / 1000);
  return (
    <p className={`left ${seconds < 60 ? "soon" : ""}`} title={clock(until, language)}>
      <Icon name="clock" size={16} /> <span>{t("desk.left", { time: now ? since(seconds, language) : clock(until, language) })}</span>
    </p>
  );
}
