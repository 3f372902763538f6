// What of a thing can be moved: who holds it now, taking it over by hand, and letting it go again.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { send, type Actuator, type Thing } from "../api";
import { usePulse } from "../events";
import { clock } from "../format";
import { useWords } from "../language";
import { Broken, Card } from "../parts/base";
import { TakeOver, type Target } from "../parts/takeover";

const BY_HAND = "operator";

export function Actuators({ thing }: { thing: Thing }) {
  const { t, named, language } = useWords();
  const { now } = usePulse();
  const client = useQueryClient();
  const [target, setTarget] = useState<Target | null>(null);
  const [error, setError] = useState<Error | null>(null);
  if (!thing.actuators.length) return null;
  const release = async (task: number) => {
    setError(null);
    try {
      await send("DELETE", `/v1.1/Tasks(${task})`);
      await client.invalidateQueries({ queryKey: [`/api/things/${thing.id}`] });
    } catch (thrown) {
      setError(thrown as Error);
    }
  };
  const holder = ({ held }: Actuator) => {
    if (!held || (now && held.until <= now)) return t("take.free");
    const values = { who: held.practice, tier: named("tier", held.tier), time: clock(held.until, language) };
    return t(held.practice === BY_HAND ? "take.held.hand" : "take.held", values);
  };
  return (
    <Card title={t("take.card")} icon="person">
      {error && <Broken error={error} />}
      <ul className="list">
        {thing.actuators.map((actuator) => {
          const { held } = actuator;
          return (
            <li key={actuator.id} className="with-action">
              <div>
                <b>{actuator.name}</b>
                <p className="quiet">{holder(actuator)}</p>
              </div>
              <div className="actions">
                {held?.practice === BY_HAND && held.task !== null && (
                  <Button className="plain" onPress={() => void release(held.task!)}>
                    {t("take.release")}
                  </Button>
                )}
                <Button
                  className="plain"
                  aria-label={t("take.label", { name: actuator.name })}
                  onPress={() => setTarget({ actuator: actuator.id, name: thing.name || actuator.name, facts: actuator.facts, over: held && held.practice !== BY_HAND ? held.tier : "" })}
                >
                  {t("take.open")}
                </Button>
              </div>
            </li>
          );
        })}
      </ul>
      <TakeOver of={target} close={() => setTarget(null)} />
    </Card>
  );
}
