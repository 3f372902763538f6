// Taking over by hand: a person's own command for an actuator. The guard judges it as it judges a practice's; while it
// holds, a practice of the same tier or a lower one is refused.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Refused, send } from "../api";
import { useWords } from "../language";
import { Reason } from "./reason";

export const TIERS = ["comfort", "duty", "life"]; // by their number on the record
const LONGEST_S = 3600; // where the actuator's facts say nothing
const USUAL_MIN = 15;

export interface Target {
  actuator: number;
  name: string;
  facts: Record<string, unknown>;
  over: string; // the tier that is to be displaced; "": none
  after?: (why: string) => Promise<unknown>;
}
interface Task {
  status: string;
  reason?: string;
}

export function TakeOver({ of, close }: { of: Target | null; close: () => void }) {
  return of && <Asking key={of.actuator} of={of} close={close} />;
}

function Asking({ of, close }: { of: Target; close: () => void }) {
  const { t, named } = useWords();
  const client = useQueryClient();
  const { facts } = of;
  const choices = Array.isArray(facts["choices"]) ? (facts["choices"] as (string | number)[]) : null;
  const bound = (name: string) => (typeof facts[name] === "number" ? (facts[name] as number) : undefined);
  const [low, high] = [bound("minimum"), bound("maximum")];
  const numeric = choices ? typeof choices[0] === "number" : low !== undefined || high !== undefined;
  const longest = Math.max(1, Math.floor((bound("max_hold_s") ?? LONGEST_S) / 60));
  const [value, setValue] = useState(choices ? String(choices[0]) : "");
  const [minutes, setMinutes] = useState(String(Math.min(USUAL_MIN, longest)));
  const [tier, setTier] = useState(TIERS[Math.min(Math.max(TIERS.indexOf(of.over), 0) + 1, 2)]!); // what displaces it
  const ask = async (because: string) => {
    const taskingParameters = { value: numeric ? Number(value) : value, duration: Number(minutes) * 60, tier, because };
    const told = await send<Task>("POST", `/v1.1/TaskingCapabilities(${of.actuator})/Tasks`, { taskingParameters });
    if (told.status === "refused") throw new Refused(409, told.reason ?? t("take.refused"));
    if (told.status === "advised") throw new Refused(409, t("take.advised"));
    await of.after?.(because);
    await client.invalidateQueries();
  };
  const ready = value !== "" && Number(minutes) > 0;
  const fields = (
    <>
      <p>{t("take.what")}</p>
      <div className="grid">
        <label className="field">
          <span>{t("take.value")}</span>
          {choices ? (
            <select value={value} onChange={(event) => setValue(event.target.value)}>
              {choices.map((one) => (
                <option key={one} value={one}>
                  {one}
                </option>
              ))}
            </select>
          ) : (
            <input type={numeric ? "number" : "text"} step="any" min={low} max={high} required value={value} onChange={(event) => setValue(event.target.value)} placeholder={numeric ? [low, high].map((one) => one ?? "…").join(" – ") : ""} />
          )}
        </label>
        <label className="field">
          <span>{t("take.minutes", { most: longest })}</span>
          <input type="number" min={1} max={longest} required value={minutes} onChange={(event) => setMinutes(event.target.value)} />
        </label>
        <label className="field">
          <span>{t("take.tier")}</span>
          <select value={tier} onChange={(event) => setTier(event.target.value)}>
            {TIERS.map((one) => (
              <option key={one} value={one}>
                {named("tier", one)}
              </option>
            ))}
          </select>
        </label>
      </div>
    </>
  );
  return <Reason ask={{ title: t("take.title", { name: of.name }), what: fields, confirm: t("take.do"), done: ask, ready }} close={close} />;
}
