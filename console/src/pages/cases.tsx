// Cases: what citizens asked, objected to or corrected; each has a clock, and its answer is public.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { send, useAsk } from "../api";
import { usePulse } from "../events";
import { moment, since } from "../format";
import { useWords } from "../language";
import { Asked, Empty, Link, Page } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";

export interface Case {
  key: string;
  kind: string;
  about: string;
  text: string;
  status: "open" | "answered";
  opened: number;
  due: number;
  answer: string;
  answered: number | null;
  who: string;
}

export function CasesPage() {
  const { t, named, language } = useWords();
  const client = useQueryClient();
  const { now } = usePulse();
  const cases = useAsk<Case[]>("/api/cases", 10_000);
  const [ask, setAsk] = useState<Ask | null>(null);
  const board = (all: Case[], status: Case["status"]) => all.filter((one) => one.status === status);
  return (
    <Page title={t("cases.title")} lead={t("cases.lead")}>
      <Asked of={cases} rows={4}>
        {(all) => (
          <div className="columns even">
            {(["open", "answered"] as const).map((status) => (
              <section key={status} className="board" aria-label={t(`cases.${status}`)}>
                <h2>
                  {t(`cases.${status}`)} <span className="count">{board(all, status).length}</span>
                </h2>
                {board(all, status).map((one) => (
                  <article key={one.key} className="card case">
                    <p>
                      <span className={`badge case-${one.kind}`}>{named("case", one.kind)}</span>{" "}
                      {one.status === "open" && (
                        <span className={now > one.due ? "bad-text" : "quiet"}>{t("cases.due", { time: since((one.due - (now || one.opened)) / 1000, language) })}</span>
                      )}
                    </p>
                    <p className="words">{one.text}</p>
                    {one.answer && (
                      <blockquote>
                        <p className="words">{one.answer}</p>
                        <footer className="quiet">
                          {one.who}, {moment(one.answered!, language)}
                        </footer>
                      </blockquote>
                    )}
                    <p className="quiet">
                      {moment(one.opened, language)} · <a href={`/cases/${one.key}`}>{t("cases.public")}</a>
                      {one.about && (
                        <>
                          {" · "}
                          <Link path={`decisions/${one.about}`}>{t("cases.about")}</Link>
                        </>
                      )}
                    </p>
                    {one.status === "open" && (
                      <Button
                        className="primary"
                        onPress={() =>
                          setAsk({
                            title: t("cases.answer"),
                            what: <p className="words">{one.text}</p>,
                            confirm: t("cases.publish"),
                            done: async (answer) => {
                              await send("POST", `/api/cases/${one.key}/answer`, { answer });
                              await client.invalidateQueries({ queryKey: ["/api/cases"] });
                            },
                          })
                        }
                      >
                        {t("cases.answer")}
                      </Button>
                    )}
                  </article>
                ))}
                {!board(all, status).length && <Empty icon="cases">{t("cases.none")}</Empty>}
              </section>
            ))}
          </div>
        )}
      </Asked>
      <Reason ask={ask} close={() => setAsk(null)} />
    </Page>
  );
}
