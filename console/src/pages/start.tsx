// The way of a newcomer: from an empty city to a live one, each step ticked off by what the city itself says.
import { useAsk, type CityMap, type Practice } from "../api";
import { useDesk } from "../app";
import { useWords, type Key } from "../language";
import { Card, Link, Page } from "../parts/base";
import { Icon } from "../parts/icons";
import { usePerson } from "../session";

export function StartPage() {
  const { t } = useWords();
  const map = useAsk<CityMap>("/api/map", 5000);
  const desk = useDesk();
  const practices = useAsk<Practice[]>("/api/practices", 5000);
  const person = usePerson();
  const figures = desk.data?.figures;
  const streams = useAsk<{ value: { "@iot.id": number }[] }>(figures?.streams ? "/v1.1/Datastreams?$top=1&$select=@iot.id" : null);
  const stream = streams.data?.value[0]?.["@iot.id"] ?? 1;
  const reading = `curl -X POST '${location.origin}/v1.1/Datastreams(${stream})/Observations' -H "Authorization: Bearer $(cat city/token)" -d '{"result": 21.5}'`;
  const steps: [Key, boolean, string | null, string | null][] = [
    ["start.login", person !== null, null, "settings"],
    ["start.model", map.data?.tiles != null, "civium twin build MY-TOWN.osm.pbf --city city", "map"],
    ["start.things", (figures?.things ?? 0) > 0, null, "things?add"],
    ["start.readings", (figures?.observations ?? 0) > 0, reading, "things"],
    ["start.decide", (practices.data ?? []).some((one) => one.decisions > 0), null, "practices"],
    ["start.mandate", (practices.data ?? []).some((one) => one.mandate && one.mandate !== "advise"), null, "practices"],
  ];
  const next = steps.findIndex(([, done]) => !done);
  return (
    <Page title={t("start.title")} lead={t("start.lead")}>
      <ol className="journey">
        {steps.map(([key, done, command, path], number) => (
          <li key={key} className={done ? "done" : number === next ? "next" : ""}>
            <span className="step" aria-hidden="true">
              {done ? <Icon name="check" size={16} /> : number + 1}
            </span>
            <Card title={t(key)}>
              <span className="unseen">{t(done ? "start.done" : "start.todo")}</span>
              <p className="quiet">{t(`${key}.what` as Key)}</p>
              {command && !done && <pre tabIndex={0}>{command}</pre>}
              {path && (
                <p>
                  <Link path={path}>{t(done ? "start.look" : "start.there")}</Link>
                </p>
              )}
            </Card>
          </li>
        ))}
      </ol>
      <Card title={t("start.demo")}>
        <p className="quiet">{t("start.demo.what")}</p>
        <pre tabIndex={0}>civium demo --town MY-TOWN.osm.pbf --city simulated</pre>
      </Card>
    </Page>
  );
}
