// Where the readings of a stream are missing, under its chart: drawn to the same scale, and told in words.
import { query, useAsk } from "../api";
import { lasting } from "../format";
import { useWords } from "../language";

interface Gaps {
  readings: number;
  rhythm: number | null; // [s]
  count: number;
  length: number; // of all gaps together [s]
  gaps: { from: number; to: number }[]; // [ms since epoch]
}

const STEPS = 200;

export function GapStrip({ stream, from, to }: { stream: number; from: number; to: number }) {
  const { t, language } = useWords();
  const step = (to - from) / STEPS;
  const end = Math.floor(to / step) * step; // asked anew when a step is over
  const asked = { from: new Date(end - (to - from)).toISOString(), to: new Date(end).toISOString() };
  const told = useAsk<Gaps>(query(`/api/streams/${stream}/gaps`, asked));
  if (!told.data) return null;
  const { gaps, count, length, rhythm } = told.data;
  if (rhythm === null) return <p className="gap-words">{t("gaps.unknown")}</p>;
  const at = (instant: number) => (100 * (instant - from)) / (to - from);
  const usual = lasting(rhythm, language);
  return (
    <>
      <svg className="gap-strip" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect className="there" width={100} height={4} />
        {gaps.map((gap) => (
          <rect key={gap.from} className="gone" x={at(gap.from)} width={Math.max(at(gap.to) - at(gap.from), 0.3)} height={4} />
        ))}
      </svg>
      <p className="gap-words">{count ? t("gaps.some", { n: count, length: lasting(length, language), usual }) : t("gaps.none", { usual })}</p>
    </>
  );
}
