// Alarms that are not over, the worst first: acknowledged, or put aside for a while with a reason.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { ALARMS, Refused, send, useAsk, type Alarm } from "../api";
import { usePulse } from "../events";
import { moment } from "../format";
import { useWords } from "../language";
import { Asked, Card, Empty, Link } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";
import { usePerson } from "../session";

const HOUR_MS = 3_600_000;
const SHOWN = 20;

export function Alarms() {
  const { t } = useWords();
  const person = usePerson();
  const alarms = useAsk<{ alarms: Alarm[]; counts: Record<string, number> }>(person ? ALARMS : null, 5000);
  if (!person)
    return (
      <Card title={t("alarms.title")} icon="alert">
        <p className="quiet">
          <Link path="settings">{t("alarms.login")}</Link>
        </p>
      </Card>
    );
  if (alarms.error instanceof Refused && alarms.error.status === 403) return null; // not for this role
  const open = alarms.data?.counts["open"] ?? 0;
  return (
    <Card title={t("alarms.title")} icon="alert" count={open} tone={open ? "bad" : ""}>
      <Asked of={alarms}>{(told) => (told.alarms.length ? <List alarms={told.alarms} /> : <Empty>{t("alarms.none")}</Empty>)}</Asked>
    </Card>
  );
}

function List({ alarms }: { alarms: Alarm[] }) {
  const { t, named, language } = useWords();
  const { now } = usePulse();
  const client = useQueryClient();
  const [ask, setAsk] = useState<Ask | null>(null);
  const tell = (alarm: Alarm, what: "ack" | "shelve") =>
    setAsk({
      title: t(`alarms.${what}`),
      what: alarm.said || alarm.title,
      confirm: t(`alarms.${what}`),
      needed: what === "shelve",
      done: async (why) => {
        await send("POST", `${ALARMS}/${alarm.id}/${what}`, what === "ack" ? { why } : { why, until: new Date(now + HOUR_MS).toISOString() });
        await client.invalidateQueries({ queryKey: [ALARMS] });
      },
    });
  const label = (what: "ack" | "shelve", alarm: Alarm) => `${t(`alarms.${what}`)}: ${[alarm.title, alarm.group.name].filter(Boolean).join(", ")}`;
  return (
    <>
      <ul className="list">
        {alarms.slice(0, SHOWN).map((alarm) => (
          <li key={alarm.id} className="with-action">
            <div>
              <p>
                <span className={`badge severity-${alarm.severity}`}>{named("severity", alarm.severity)}</span> <b>{alarm.title}</b>
                {alarm.group.name && ` · ${alarm.group.name}`}
              </p>
              <p>{alarm.said}</p>
              <p className="quiet">
                {moment(Date.parse(alarm.raised), language)}
                {alarm.acknowledged && ` · ${t("alarms.acked", { who: alarm.acknowledged.who })}`}
                {alarm.shelved && ` · ${t("alarms.shelved", { who: alarm.shelved.who, time: moment(Date.parse(alarm.shelved.until), language) })}`}
                {alarm.group.by === "thing" && (
                  <>
                    {" · "}
                    <Link path={`things/${alarm.group.key}`}>{t("desk.about")}</Link>
                  </>
                )}
              </p>
            </div>
            {alarm.state === "open" && (
              <div className="verdict">
                <Button className="plain" onPress={() => tell(alarm, "shelve")} aria-label={label("shelve", alarm)}>
                  {t("alarms.shelve")}
                </Button>
                <Button className="primary" onPress={() => tell(alarm, "ack")} aria-label={label("ack", alarm)}>
                  {t("alarms.ack")}
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
      <Reason ask={ask} close={() => setAsk(null)} />
    </>
  );
}
