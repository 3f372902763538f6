// What is in view, as a list: for who chooses by keys or listens to a screen reader.
import { Button } from "react-aria-components";

import { number } from "../format";
import { useWords } from "../language";
import { distance, type Spot } from "./canvas";
import type { Layer } from "./live";

const MOST = 30;

export interface View {
  centre: Spot;
  holds: (spot: Spot) => boolean;
}

export function Near({ layers, view, choose }: { layers: Layer[]; view: View | null; choose: (thing: number, spot: Spot) => void }) {
  const { t, language, named } = useWords();
  const found = view ? nearest(layers, view) : [];
  return (
    <section className="panel layers" aria-label={t("map.near")}>
      <h2>{t("map.near")}</h2>
      <p className="quiet">{t("map.near.what")}</p>
      <ul className="near">
        {found.map(({ thing, name, kind, spot, away }) => (
          <li key={thing}>
            <Button className="bare" onPress={() => choose(thing, spot)}>
              <b>{name || thing}</b>
              <small>
                {named("kind", kind)} · {t("map.near.metres", { metres: number(away, language) })}
              </small>
            </Button>
          </li>
        ))}
      </ul>
      {!found.length && <p className="quiet">{t("map.near.none")}</p>}
    </section>
  );
}

/** The things nearest to the middle of what is seen, the nearest first. */
function nearest(layers: Layer[], { centre, holds }: View) {
  const shrink = Math.cos((centre[1] * Math.PI) / 180);
  const seen: { layer: Layer; row: number; far: number }[] = [];
  for (const layer of layers)
    for (let row = 0; row < layer.length; row++) {
      const [lon, lat] = [layer.positions[3 * row]!, layer.positions[3 * row + 1]!];
      const far = ((lon - centre[0]) * shrink) ** 2 + (lat - centre[1]) ** 2;
      if (seen.length === MOST && far >= seen[MOST - 1]!.far) continue;
      if (!holds([lon, lat])) continue;
      const at = seen.findIndex((one) => one.far > far);
      seen.splice(at < 0 ? seen.length : at, 0, { layer, row, far });
      if (seen.length > MOST) seen.pop();
    }
  return seen.map(({ layer, row }) => {
    const [lon, lat] = layer.spot(row);
    const spot: Spot = [lon, lat];
    return { thing: layer.places.thing[row]!, name: layer.places.name?.[row] ?? "", kind: layer.kind, spot, away: distance([centre, spot]) };
  });
}
