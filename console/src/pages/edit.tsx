// Changing what is known of a thing or of a stream. Each change says what it saw before (JSON Patch, "test"), so that
// nobody's change of the meantime is lost: the city then refuses it.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";

import { get, Refused, send } from "../api";
import { useWords } from "../language";
import { Asked, Broken, Card } from "../parts/base";
import { say, useReturn } from "../parts/say";

export type Edited = { of: "Things" | "Datastreams"; id: number; title: string };
interface Entity {
  name: string;
  description: string;
  properties: Record<string, unknown>;
  Locations?: { location: { type: string; coordinates: number[] } }[];
}
type Form = Record<"name" | "description" | "properties" | "lat" | "lon", string>;
const PATCH = "application/json-patch+json";

export function Edit({ what, done }: { what: Edited; done: () => void }) {
  const { t } = useWords();
  useReturn();
  const saved = () => {
    say(t("said.done", { what: what.title }));
    done();
  };
  const address = `/v1.1/${what.of}(${what.id})`;
  const path = what.of === "Things" ? `${address}?$expand=Locations` : address;
  // Asked once, anew each time: what is changed is compared with what the person saw.
  const entity = useQuery<Entity>({ queryKey: ["edit", path], queryFn: () => get<Entity>(path), staleTime: Infinity, gcTime: 0 });
  return (
    <Card title={what.title}>
      <Asked of={entity}>{(told) => <Fields address={address} known={told} done={saved} leave={done} />}</Asked>
    </Card>
  );
}

function Fields({ address, known, done, leave }: { address: string; known: Entity; done: () => void; leave: () => void }) {
  const { t } = useWords();
  const client = useQueryClient();
  const [before] = useState(known); // what the person saw
  const point = before.Locations?.[0]?.location;
  const placed = point === undefined || point.type === "Point";
  const [form, setForm] = useState<Form>({
    name: before.name,
    description: before.description,
    properties: JSON.stringify(before.properties, null, 2),
    lat: placed && point ? String(point.coordinates[1]) : "",
    lon: placed && point ? String(point.coordinates[0]) : "",
  });
  const [error, setError] = useState<Error | null>(null);
  const save = async () => {
    setError(null);
    try {
      const operations = changes(before, form, () => t("edit.bad.json"));
      if (operations.length) await send("PATCH", address, operations, PATCH);
      const [lon, lat] = [Number(form.lon), Number(form.lat)];
      if (before.Locations && placed && form.lat && form.lon && (lon !== point?.coordinates[0] || lat !== point.coordinates[1])) {
        const location = { type: "Point", coordinates: [lon, lat] };
        await send("POST", `${address}/Locations`, { name: form.name, description: "", encodingType: "application/geo+json", location });
        await get(address); // a read sees what was accepted; then the page may ask again
      }
      await client.invalidateQueries();
      done();
    } catch (thrown) {
      setError(thrown instanceof Refused && thrown.status === 409 ? new Refused(409, t("edit.changed")) : (thrown as Error));
    }
  };
  const field = (name: keyof Form, type = "text") => (
    <label className="field grow">
      <span>{t(`edit.${name}`)}</span>
      <input type={type} step="any" value={form[name]} required={name === "name"} autoFocus={name === "name"} onChange={(event) => setForm({ ...form, [name]: event.target.value })} />
    </label>
  );
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <div className="grid">
        {field("name")}
        {field("description")}
        {before.Locations && placed && field("lat", "number")}
        {before.Locations && placed && field("lon", "number")}
      </div>
      <label className="field">
        <span>{t("edit.properties")}</span>
        <textarea rows={Math.min(12, form.properties.split("\n").length + 1)} spellCheck={false} value={form.properties} onChange={(event) => setForm({ ...form, properties: event.target.value })} />
      </label>
      {error && <Broken error={error} />}
      <div className="actions">
        <Button className="plain" onPress={leave}>
          {t("cancel")}
        </Button>
        <Button type="submit" className="primary">
          {t("edit.do")}
        </Button>
      </div>
    </form>
  );
}

/** What was changed, as operations that say what was seen before. */
function changes(before: Entity, form: Form, bad: () => string): object[] {
  let properties: unknown;
  try {
    properties = JSON.parse(form.properties || "{}");
  } catch {
    throw new Refused(400, bad());
  }
  const after = { name: form.name, description: form.description, properties };
  return (["name", "description", "properties"] as const)
    .filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]))
    .flatMap((name) => [
      { op: "test", path: `/${name}`, value: before[name] },
      { op: "replace", path: `/${name}`, value: after[name] },
    ]);
}
