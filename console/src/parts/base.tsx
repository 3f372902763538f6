// Small parts that every page uses: links, badges, cards, empty and broken states.
import { useId, type ReactNode } from "react";

import { Refused, type Fates } from "../api";
import { useTitle } from "../app";
import { number } from "../format";
import { useWords } from "../language";
import { follow, to } from "../router";
import { Icon, type IconName } from "./icons";

export function Link({ path, children, ...rest }: { path: string; children: ReactNode; className?: string; "aria-label"?: string; "aria-current"?: "page" }) {
  return (
    <a href={to(path)} onClick={follow} {...rest}>
      {children}
    </a>
  );
}

export function Page({ title, lead, actions, children }: { title: string; lead?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  useTitle(title);
  return (
    <div className="page">
      <header className="page-head">
        <div>
          <h1 id="title">{title}</h1>
          {lead && <p className="lead">{lead}</p>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

export function Card({ title, icon, count, tone, children, actions }: { title: string; icon?: IconName; count?: number; tone?: string; children: ReactNode; actions?: ReactNode }) {
  const { language } = useWords();
  const id = useId();
  return (
    <section className={`card ${tone ?? ""}`} aria-labelledby={id}>
      <header>
        {icon && <Icon name={icon} />}
        <h2 id={id}>{title}</h2>
        {count !== undefined && <span className={`count ${count && tone ? tone : ""}`}>{number(count, language)}</span>}
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

export function Mandate({ mandate }: { mandate: string }) {
  const { named } = useWords();
  return <span className={`badge mandate-${mandate}`}>{named("mandate", mandate)}</span>;
}

export function Status({ status }: { status: string }) {
  const { named } = useWords();
  return <span className={`badge status-${status}`}>{named("status", status)}</span>;
}

const ORDER = ["confirmed", "sent", "admitted", "pending", "advised", "refused", "failed", "overridden", "released", "lapsed"];

/** What became of commands, as one bar and in words. */
export function FateBar({ fates }: { fates: Fates }) {
  const { t, named, language } = useWords();
  const told = ORDER.filter((name) => fates[name]).map((name) => [name, fates[name]!] as const);
  const all = told.reduce((sum, [, n]) => sum + n, 0);
  if (!all) return <p className="quiet">{t("fates.none")}</p>;
  return (
    <div className="fates">
      <svg className="fate-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        {told.reduce<{ at: number; bars: ReactNode[] }>(
          ({ at, bars }, [name, n]) => {
            const width = (100 * n) / all;
            bars.push(<rect key={name} className={`fate-${name}`} x={at} width={Math.max(width - 0.4, 0.4)} height={4} />);
            return { at: at + width, bars };
          },
          { at: 0, bars: [] },
        ).bars}
      </svg>
      <ul>
        {told.map(([name, n]) => (
          <li key={name}>
            <i className={`fate-${name}`} /> {named("status", name)} <b>{number(n, language)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Empty({ icon = "check", children }: { icon?: IconName; children: ReactNode }) {
  return (
    <p className="empty">
      <Icon name={icon} /> <span>{children}</span>
    </p>
  );
}

export function Broken({ error, again }: { error: Error; again?: () => void }) {
  const { t } = useWords();
  const said = error instanceof Refused ? error.message : t("link.away");
  return (
    <div className="broken" role="alert">
      <Icon name="alert" />
      <p>{said}</p>
      {again && (
        <button type="button" className="plain" onClick={again}>
          {t("again")}
        </button>
      )}
    </div>
  );
}

export function Loading({ rows = 3 }: { rows?: number }) {
  const { t } = useWords();
  return (
    <div className="loading" role="status" aria-label={t("loading")}>
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  );
}

/** What was asked for: a skeleton until it is there, words when it is not. */
export function Asked<T>({ of, children, rows = 3 }: { of: { data: T | undefined; error: Error | null; refetch: () => unknown }; children: (data: T) => ReactNode; rows?: number }) {
  if (of.data !== undefined) return children(of.data);
  if (of.error) return <Broken error={of.error} again={() => void of.refetch()} />;
  return <Loading rows={rows} />;
}
