// Who may come in: tokens, made and revoked; what a token says is shown once and kept nowhere.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { query, send, useAsk } from "../api";
import { useWords } from "../language";
import { Asked, Broken, Card } from "../parts/base";
import { Reason, type Ask } from "../parts/reason";

interface Token {
  id: number;
  name: string;
  role: string;
  made: string | null;
  expires: string | null;
  revoked: string | null;
}
const ROLES = ["operator", "department", "device", "administrator"];
const PATH = "/api/tokens";

export function Tokens() {
  const { t, named } = useWords();
  const client = useQueryClient();
  const tokens = useAsk<Token[]>(PATH);
  const [name, setName] = useState("");
  const [role, setRole] = useState("operator");
  const [days, setDays] = useState("90");
  const [made, setMade] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const [ask, setAsk] = useState<Ask | null>(null);
  const make = async () => {
    setError(null);
    try {
      const told = await send<{ token: string }>("POST", PATH, { name, role, days: days ? Number(days) : null });
      setMade(told.token);
      setName("");
      await client.invalidateQueries({ queryKey: [PATH] });
    } catch (thrown) {
      setError(thrown as Error);
    }
  };
  return (
    <Card title={t("tokens.title")} icon="people">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <div className="grid">
          <label className="field">
            <span>{t("tokens.name")}</span>
            <input value={name} onChange={(event) => setName(event.target.value)} maxLength={200} required />
          </label>
          <label className="field">
            <span>{t("tokens.role")}</span>
            <select value={role} onChange={(event) => setRole(event.target.value)}>
              {ROLES.map((one) => (
                <option key={one} value={one}>
                  {named("role", one)}
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>{t("tokens.days")}</span>
            <input type="number" min={1} value={days} onChange={(event) => setDays(event.target.value)} />
          </label>
        </div>
        {error && <Broken error={error} />}
        <div role="status">
          {made && (
            <>
              <p>{t("tokens.once")}</p>
              <pre tabIndex={0}>{made}</pre>
            </>
          )}
        </div>
        <Button type="submit" className="primary">
          {t("tokens.make")}
        </Button>
      </form>
      <Asked of={tokens}>
        {(all) => (
          <ul className="list tokens">
            {all
              .filter((one) => !one.revoked)
              .slice(0, 50)
              .map((one) => (
                <li key={one.id} className="with-action">
                  <div>
                    <b>{one.name}</b> <span className="badge">{named("role", one.role)}</span>
                    <p className="quiet">{one.expires ? t("tokens.until", { day: one.expires.slice(0, 10) }) : t("tokens.forever")}</p>
                  </div>
                  <Button
                    className="plain bad"
                    aria-label={t("tokens.revoke.label", { name: one.name })}
                    onPress={() =>
                      setAsk({
                        title: t("tokens.revoke.label", { name: one.name }),
                        what: t("tokens.revoke.what"),
                        confirm: t("tokens.revoke"),
                        tone: "bad",
                        done: async (why) => {
                          await send("DELETE", query(`${PATH}/${one.id}`, { why }));
                          await client.invalidateQueries({ queryKey: [PATH] });
                        },
                      })
                    }
                  >
                    {t("tokens.revoke")}
                  </Button>
                </li>
              ))}
          </ul>
        )}
      </Asked>
      <Reason ask={ask} close={() => setAsk(null)} />
    </Card>
  );
}
