// A backtest on the city's own past: nothing is sent and nothing is written.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Label, ProgressBar } from "react-aria-components";

import { query, send, useAsk } from "../api";
import { moment, number } from "../format";
import { useWords, type Key } from "../language";
import { Broken, Card } from "../parts/base";

interface Trial {
  id: string;
  practice: string;
  from: number;
  to: number;
  share: number;
  trouble: string;
  done: boolean;
  result: Record<"ticks" | "held" | "decided" | "commands" | "estimates" | "agree" | "compared", number> | null;
}

const FIGURES: [keyof NonNullable<Trial["result"]>, Key][] = [
  ["ticks", "backtest.ticks"],
  ["held", "backtest.held"],
  ["decided", "backtest.decided"],
  ["commands", "backtest.commands"],
  ["agree", "backtest.agree"],
  ["compared", "backtest.compared"],
];
const HOUR_S = 3600;

export function Backtest({ practice }: { practice: string }) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const [error, setError] = useState<Error | null>(null);
  const path = query("/api/backtests", { practice });
  const trials = useAsk<Trial[]>(path, 1000);
  const last = trials.data?.[0];
  const running = last !== undefined && !last.done;
  const begin = async () => {
    setError(null);
    try {
      await send("POST", "/api/backtests", { practice, seconds: HOUR_S });
      await client.invalidateQueries({ queryKey: [path] });
    } catch (thrown) {
      setError(thrown as Error);
    }
  };
  return (
    <Card
      title={t("backtest.title")}
      actions={
        <Button className="plain" onPress={() => void begin()} isDisabled={running}>
          {t("backtest.begin")}
        </Button>
      }
    >
      <p className="quiet">{t("backtest.what")}</p>
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
          {last.result && (
            <dl className="row">
              {FIGURES.map(([name, key]) => (
                <div key={name}>
                  <dt>{t(key)}</dt>
                  <dd>{number(last.result![name], language)}</dd>
                </div>
              ))}
            </dl>
          )}
        </>
      )}
    </Card>
  );
}
