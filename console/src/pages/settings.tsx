// People and this console: who is here, language and colours; dead letters for whoever may look at them.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { send, useAsk } from "../api";
import { LANGUAGES, useWords } from "../language";
import { Asked, Card, Empty, Page } from "../parts/base";
import { keepFocusSoon, say } from "../parts/say";
import { Tokens } from "./tokens";
import { login, logout, usePerson } from "../session";
import { setTheme, theme, type Theme } from "../theme";

const THEMES: Theme[] = ["system", "light", "dark"];

export function Settings() {
  const { t, language, set, named } = useWords();
  const person = usePerson();
  const [chosen, setChosen] = useState(theme());
  return (
    <Page title={t("settings.title")} lead={t("settings.lead")}>
      <div className="columns even">
        <div>
          <Card title={t("settings.person")} icon="person">
            {person ? (
              <>
                <p>{t("settings.here", { name: person.name, role: named("role", person.role) })}</p>
                <p>
                  <Button className="plain" onPress={() =>
                      void logout().then(() => {
                        say(t("said.out"));
                        keepFocusSoon();
                      })
                    }>
                    {t("settings.leave")}
                  </Button>
                </p>
              </>
            ) : (
              <Login />
            )}
          </Card>
          <Card title={t("settings.console")} icon="globe">
            <label className="field">
              <span>{t("settings.language")}</span>
              <select value={language} onChange={(event) => set(event.target.value as typeof language)}>
                {LANGUAGES.map(([code, name]) => (
                  <option key={code} value={code} lang={code}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <label className="field">
              <span>{t("settings.theme")}</span>
              <select
                value={chosen}
                onChange={(event) => {
                  setChosen(event.target.value as Theme);
                  setTheme(event.target.value as Theme);
                }}
              >
                {THEMES.map((one) => (
                  <option key={one} value={one}>
                    {t(`theme.${one}`)}
                  </option>
                ))}
              </select>
            </label>
          </Card>
        </div>
        <div>
          {person?.role === "administrator" && <Tokens />}
          {person?.role === "administrator" && <Letters />}
        </div>
      </div>
    </Page>
  );
}

function Login() {
  const { t } = useWords();
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState(false);
  const client = useQueryClient();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setWrong(false);
        login(token.trim()).then(
          () => {
            say(t("said.in"));
            keepFocusSoon();
            return client.invalidateQueries();
          },
          () => setWrong(true),
        );
      }}
    >
      <p className="quiet">{t("login.what")}</p>
      <label className="field">
        <span>{t("login.token")}</span>
        <input type="password" autoComplete="current-password" value={token} onChange={(event) => setToken(event.target.value)} aria-invalid={wrong} aria-describedby="login-wrong" required />
      </label>
      <p id="login-wrong" role="alert" className="bad-text">
        {wrong && t("login.wrong")}
      </p>
      <Button type="submit" className="primary">
        {t("login.do")}
      </Button>
    </form>
  );
}

interface Letter {
  id: string;
  door: string;
  topic: string;
  why: string;
}

function Letters() {
  const { t } = useWords();
  const client = useQueryClient();
  const letters = useAsk<Letter[]>("/api/dead-letters?limit=50", 10_000);
  const retry = async () => {
    await send("POST", "/api/dead-letters/retry", { topic: "" });
    await client.invalidateQueries({ queryKey: ["/api/dead-letters?limit=50"] });
  };
  return (
    <Card
      title={t("letters.title")}
      icon="alert"
      actions={
        letters.data?.length ? (
          <Button className="plain" onPress={() => void retry()}>
            {t("letters.retry")}
          </Button>
        ) : undefined
      }
    >
      <Asked of={letters}>
        {(all) =>
          all.length ? (
            <ul className="list tight">
              {all.map((letter) => (
                <li key={letter.id}>
                  <b>{letter.topic || letter.door}</b>
                  <p className="quiet">{letter.why}</p>
                </li>
              ))}
            </ul>
          ) : (
            <Empty>{t("letters.none")}</Empty>
          )
        }
      </Asked>
    </Card>
  );
}
