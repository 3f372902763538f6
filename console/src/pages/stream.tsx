// One stream over the last hour, day or week, asked again as time goes on.
import { useState } from "react";

import { query, useAsk, type Chart as Told, type Stream } from "../api";
import { usePulse } from "../events";
import { useWords, type Key } from "../language";
import { Asked } from "../parts/base";
import { Chart } from "../parts/chart";
import { GapStrip } from "../parts/gaps";

const SPANS: [Key, number][] = [
  ["span.hour", 3_600_000],
  ["span.day", 86_400_000],
  ["span.week", 604_800_000],
];
const STEP_MS = 10_000;

export function StreamChart({ stream, small = false, at }: { stream: Stream; small?: boolean; at?: number }) {
  const { t } = useWords();
  const { now } = usePulse();
  const [span, setSpan] = useState(SPANS[0]![1]);
  const end = Math.ceil((at ?? (now || stream.time || 0)) / STEP_MS) * STEP_MS; // asked anew every ten seconds of the city
  const path = end
    ? query(`/api/streams/${stream.id}/chart`, { from: new Date(end - span).toISOString(), to: new Date(end).toISOString(), points: small ? 150 : 300 })
    : null;
  const told = useAsk<Told>(path);
  const title = stream.property.replaceAll("_", " ");
  return (
    <section className={small ? "chart-card small" : "card chart-card"} aria-label={title}>
      <div className="spans" role="group" aria-label={t("span.label")}>
        {SPANS.map(([key, ms]) => (
          <button key={key} type="button" aria-pressed={span === ms} onClick={() => setSpan(ms)}>
            {t(key)}
          </button>
        ))}
      </div>
      <Asked of={told} rows={2}>
        {(data) => <Chart told={data} unit={stream.si_unit} property={stream.property} title={title} span={[end - span, end]} height={small ? 110 : 150} />}
      </Asked>
      {end > 0 && !small && <GapStrip stream={stream.id} from={end - span} to={end} />}
    </section>
  );
}
