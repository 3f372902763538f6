// Alarms that ask for a person, from the city's alarm book.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { Refused, send, useAsk } from "../api";
import { moment } from "../format";
import { useWords } from "../language";
import { Card, Empty, Link } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";

interface Alarm {
  id: number | string;
  state: string;
  priority: string;
  text: string;
  thing: number | null;
  raised: number;
}

export function Alarms() {
  const { t, language } = useWords();
  const client = useQueryClient();
  const [ask, setAsk] = useState<Ask | null>(null);
  const alarms = useAsk<Alarm[]>("/api/alarms", 5000);
  if (alarms.error instanceof Refused && alarms.error.status === 404) return null;
  const told = alarms.data ?? [];
  return (
    <Card title={t("alarms.title")} icon="alert" count={told.length} tone={told.length ? "bad" : ""}>
      {told.length ? (
        <ul className="list">
          {told.slice(0, 20).map((alarm) => (
            <li key={alarm.id} className="with-action">
              <div>
                <p>
                  <span className={`badge priority-${alarm.priority}`}>{alarm.priority}</span> {alarm.text}
                </p>
                <p className="quiet">
                  {moment(alarm.raised, language)}
                  {alarm.thing !== null && (
                    <>
                      {" · "}
                      <Link path={`things/${alarm.thing}`}>{t("desk.about")}</Link>
                    </>
                  )}
                </p>
              </div>
              <Button
                className="plain"
                onPress={() =>
                  setAsk({
                    title: t("alarms.ack"),
                    what: alarm.text,
                    confirm: t("alarms.ack"),
                    needed: false,
                    done: async (why) => {
                      await send("POST", `/api/alarms/${alarm.id}/ack`, { why });
                      await client.invalidateQueries({ queryKey: ["/api/alarms"] });
                    },
                  })
                }
              >
                {t("alarms.ack")}
              </Button>
            </li>
          ))}
        </ul>
      ) : (
        <Empty>{t("alarms.none")}</Empty>
      )}
      <Reason ask={ask} close={() => setAsk(null)} />
    </Card>
  );
}
