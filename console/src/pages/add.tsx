// Adding things, by form or by file: the city says first what would be, and only then it is done.
import { useState } from "react";
import { Button } from "react-aria-components";

import { send } from "../api";
import { number } from "../format";
import { useWords } from "../language";
import { Broken, Card } from "../parts/base";

interface Registered {
  created: number;
  unchanged: number;
}
type Form = Record<"key" | "name" | "kind" | "lon" | "lat" | "property" | "unit", string>;
const EMPTY: Form = { key: "", name: "", kind: "", lon: "", lat: "", property: "", unit: "" };
const EXAMPLE = '{"key": "lamp/1", "name": "Lamp 1", "kind": "lamp_post", "where": {"type": "Point", "coordinates": [24.94, 60.17]}, "streams": [{"property": "air_temperature", "unit": "degC"}]}';

function line(form: Form): string {
  const where = form.lon && form.lat ? { where: { type: "Point", coordinates: [Number(form.lon), Number(form.lat)] } } : {};
  const streams = form.property ? { streams: [{ property: form.property, unit: form.unit || "1" }] } : {};
  return JSON.stringify({ key: form.key, name: form.name, kind: form.kind, ...where, ...streams });
}

export function AddThings({ done }: { done: () => void }) {
  const { t, language } = useWords();
  const [form, setForm] = useState(EMPTY);
  const [file, setFile] = useState<{ name: string; text: string } | null>(null);
  const [checked, setChecked] = useState<{ lines: string; told: Registered } | null>(null);
  const [added, setAdded] = useState<Registered | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const lines = file?.text ?? (form.key ? line(form) : "");
  const ready = checked !== null && checked.lines === lines;
  const ask = async (dry: boolean) => {
    setError(null);
    try {
      const told = await send<Registered>("POST", `/api/register?ids=false${dry ? "&dry_run=true" : ""}`, lines);
      if (dry) {
        setAdded(null);
        setChecked({ lines, told });
      } else {
        setAdded(told);
        setChecked(null);
        setForm(EMPTY);
        setFile(null);
        done();
      }
    } catch (thrown) {
      setChecked(null);
      setError(thrown as Error);
    }
  };
  const field = (name: keyof Form, hint: string, type = "text") => (
    <label className="field">
      <span>{t(`add.${name}`)}</span>
      <input type={type} step="any" value={form[name]} placeholder={hint} required={name === "key"} onChange={(event) => setForm({ ...form, [name]: event.target.value })} />
    </label>
  );
  return (
    <Card title={t("things.add")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void ask(!ready);
        }}
      >
        {file === null && (
          <fieldset className="grid">
            <legend>{t("add.by.form")}</legend>
            {field("key", "lamp/1")}
            {field("name", t("add.name.hint"))}
            {field("kind", "lamp_post")}
            {field("lat", "60.17", "number")}
            {field("lon", "24.94", "number")}
            {field("property", "air_temperature")}
            {field("unit", "degC")}
          </fieldset>
        )}
        <label className="field file">
          <span>{t("add.by.file")}</span>
          <input
            type="file"
            accept=".jsonl,.ndjson,.json,application/x-ndjson"
            onChange={(event) => {
              const chosen = event.target.files?.[0];
              if (chosen) void chosen.text().then((text) => setFile({ name: chosen.name, text }));
              else setFile(null);
            }}
          />
        </label>
        <details>
          <summary>{t("add.example")}</summary>
          <pre tabIndex={0}>{EXAMPLE}</pre>
        </details>
        {error && <Broken error={error} />}
        <p role="status">
          {ready && t("add.would", { created: number(checked.told.created, language), unchanged: number(checked.told.unchanged, language) })}
          {added && t("add.done", { created: number(added.created, language), unchanged: number(added.unchanged, language) })}
        </p>
        <div className="actions">
          <Button type="submit" className={ready ? "primary good" : "primary"} isDisabled={!lines}>
            {t(ready ? "add.do" : "add.check")}
          </Button>
        </div>
      </form>
    </Card>
  );
}
