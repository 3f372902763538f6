// Which kinds are on the map, what their colours mean, and how many were heard.
import type { Kind } from "../api";
import { number } from "../format";
import { useWords } from "../language";
import type { Layer } from "./live";
import { legend } from "./looks";

export function Layers({ kinds, layers, off, toggle, turn }: { kinds: Kind[]; layers: Layer[]; off: Set<string>; toggle: (kind: string) => void; turn: number }) {
  const { t, language, named } = useWords();
  return (
    <section className="panel layers" aria-label={t("map.layers")} data-turn={turn}>
      <h2>{t("map.layers")}</h2>
      {kinds.map(({ kind, property, things }) => {
        const layer = layers.find((one) => one.kind === kind);
        return (
          <div key={kind} className="layer-row">
            <label>
              <input type="checkbox" checked={!off.has(kind)} onChange={() => toggle(kind)} />
              <span>
                <b>{named("kind", kind)}</b> <small>{named("property", property!)}</small>
              </span>
              <small className="n">{layer ? `${number(layer.heard, language)} / ${number(things, language)}` : number(things, language)}</small>
            </label>
            {layer && !off.has(kind) && layer.bounds.length > 0 && (
              <ul className="legend">
                {legend(kind, property!, layer.unit, layer.bounds, language, (n) => (n ? t("map.stage", { n: n - 1 }) : t("map.changing"))).map(([[r, g, b], words], step) => (
                  <li key={step}>
                    <svg viewBox="0 0 10 10" aria-hidden="true">
                      <circle cx="5" cy="5" r="4.500" fill={`rgb(${r} ${g} ${b})`} />
                    </svg>
                    {words}
                  </li>
                ))}
              </ul>
            )}
          </div>
        );
      })}
      {!kinds.length && <p className="quiet">{t("map.no.kinds")}</p>}
    </section>
  );
}
