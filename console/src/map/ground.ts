// The ground of the map: one design for light and dark, drawn from the city's own tiles.
import type { StyleSpecification } from "maplibre-gl";

import type { CityMap } from "../api";

interface Paint {
  land: string;
  green: string;
  wood: string;
  water: string;
  works: string;
  main: string;
  street: string;
  path: string;
  edge: string;
  low: string;
  tall: string;
  tree: string;
  word: string;
  halo: string;
  shade: string;
}

const LIGHT: Paint = {
  land: "#f4f0e8", green: "#dce8cd", wood: "#c9ddb9", water: "#b9d6e5", works: "#ebe4d8", main: "#fdebc3", street: "#ffffff", path: "#ffffff", edge: "#e0d8c8",
  low: "#e9e2d6", tall: "#c9bca8", tree: "#8fb57f", word: "#4a4f55", halo: "#fbf9f4", shade: "#2b3350",
};
const DARK: Paint = {
  land: "#12171a", green: "#16231b", wood: "#182a1e", water: "#0d2735", works: "#171b1d", main: "#4d4737", street: "#2c3338", path: "#23292d", edge: "#0c1012",
  low: "#262d32", tall: "#47525a", tree: "#2f5238", word: "#a9b2b8", halo: "#0f1316", shade: "#000000",
};
const FONT = ["Inter Variable", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei", "sans-serif"];
const ROADS: [string, string[], number][] = [
  ["path", ["footway", "cycleway", "path", "steps", "pedestrian"], 1.5],
  ["street", ["service", "residential", "living_street", "unclassified"], 6],
  ["main", ["tertiary", "secondary", "primary", "trunk", "motorway", "tertiary_link", "secondary_link", "primary_link", "trunk_link", "motorway_link"], 10],
];

/** Width on the screen of what is so many metres wide on the ground, at 60 degrees north or south and less. */
function metres(width: number): unknown[] {
  return ["interpolate", ["exponential", 2], ["zoom"], 12, Math.max(0.4, width / 30), 20, width * 8];
}

/** All but a box (west, south, east, north) [deg]. */
function around([west, south, east, north]: [number, number, number, number]): GeoJSON.Polygon {
  const ring = (w: number, s: number, e: number, n: number) => [[w, s], [e, s], [e, n], [w, n], [w, s]];
  return { type: "Polygon", coordinates: [ring(-180, -85, 180, 85), ring(west, south, east, north).reverse()] };
}

export function style(map: CityMap, dark: boolean): StyleSpecification {
  const paint = dark ? DARK : LIGHT;
  const of = (name: string) => ({ source: "city", "source-layer": name });
  const one = (classes: string[]) => ["in", ["get", "class"], ["literal", classes]];
  const roads = ROADS.flatMap(([name, classes, width]) => [
    ...(name === "path"
      ? []
      : [{ id: `${name}-edge`, type: "line", ...of("streets"), minzoom: 13, filter: ["all", one(classes), ["==", ["get", "tunnel"], 0]], layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": paint.edge, "line-width": metres(width + 2) } }]),
  ]);
  const beds = ROADS.map(([name, classes, width]) => ({
    id: name, type: "line", ...of("streets"), filter: ["all", one(classes), ["==", ["get", "tunnel"], 0]], layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": paint[name as "path" | "street" | "main"], "line-width": metres(width), ...(name === "path" ? { "line-opacity": 0.8 } : {}) },
  }));
  const tiles = map.tiles && { city: { type: "vector", tiles: [location.origin + map.tiles], minzoom: map.zooms[0], maxzoom: map.zooms[1], bounds: map.bounds ?? undefined, attribution: map.attribution.join("; ") } };
  const dem = map.terrain && { type: "raster-dem", tiles: [location.origin + map.terrain.tiles], encoding: "terrarium", tileSize: 256, minzoom: map.terrain.zooms[0], maxzoom: map.terrain.zooms[1], bounds: map.bounds ?? undefined };
  const relief = dem && {
    relief: dem,
    heights: dem, // the ground itself: MapLibre asks for a source of its own, since it loads other tiles of it
    beyond: { type: "geojson", data: around(map.bounds ?? [-180, -85, 180, 85]) }, // a tile ends later than the town does
  };
  const layers = [
    { id: "land", type: "background", paint: { "background-color": paint.land } },
    ...(tiles
      ? [
          { id: "works", type: "fill", ...of("landuse"), filter: one(["industrial", "commercial", "education", "health", "railway"]), paint: { "fill-color": paint.works } },
          { id: "green", type: "fill", ...of("landuse"), filter: one(["green", "farm", "sport", "wetland"]), paint: { "fill-color": paint.green } },
          { id: "wood", type: "fill", ...of("landuse"), filter: one(["wood", "forest"]), paint: { "fill-color": paint.wood } },
          ...(relief ? [{ id: "relief", type: "hillshade", source: "relief", paint: { "hillshade-exaggeration": 0.3, "hillshade-shadow-color": paint.shade, "hillshade-highlight-color": dark ? "#39434a" : "#ffffff", "hillshade-accent-color": paint.edge } }, { id: "beyond", type: "fill", source: "beyond", paint: { "fill-color": paint.land, "fill-antialias": false } }] : []),
          { id: "water", type: "fill", ...of("water"), filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": paint.water } },
          { id: "river", type: "line", ...of("water"), filter: ["==", ["geometry-type"], "LineString"], paint: { "line-color": paint.water, "line-width": metres(6) } },
          ...roads,
          ...beds,
          { id: "shadow", type: "fill", source: "shadow", paint: { "fill-color": paint.shade, "fill-opacity": dark ? 0.5 : 0.22, "fill-antialias": false } },
          { id: "trees", type: "circle", ...of("trees"), minzoom: 15, filter: ["==", ["geometry-type"], "Point"], paint: { "circle-color": paint.tree, "circle-opacity": 0.75, "circle-pitch-alignment": "map", "circle-radius": ["interpolate", ["exponential", 2], ["zoom"], 15, 1.6, 20, 34] } },
          { id: "flat-buildings", type: "fill", ...of("buildings"), maxzoom: 14, paint: { "fill-color": paint.low } },
          {
            id: "buildings", type: "fill-extrusion", ...of("buildings"), minzoom: 13.5,
            paint: { "fill-extrusion-color": ["interpolate", ["linear"], ["get", "height"], 4, paint.low, 40, paint.tall], "fill-extrusion-height": ["interpolate", ["linear"], ["zoom"], 13.5, 0, 14.5, ["get", "height"]], "fill-extrusion-opacity": 0.94 },
          },
          { id: "street-names", type: "symbol", ...of("streets"), minzoom: 14.5, filter: ["all", ["has", "name"], one([...ROADS[1]![1].slice(1), ...ROADS[2]![1]])], layout: { "symbol-placement": "line", "text-field": ["get", "name"], "text-font": FONT, "text-size": 11, "text-letter-spacing": 0.02 }, paint: { "text-color": paint.word, "text-halo-color": paint.halo, "text-halo-width": 1.4 } },
          { id: "stop-names", type: "symbol", ...of("stops"), minzoom: 16.5, filter: ["has", "name"], layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 10, "text-anchor": "top" }, paint: { "text-color": paint.word, "text-halo-color": paint.halo, "text-halo-width": 1.4 } },
        ]
      : []),
  ];
  const shadow = { type: "geojson", data: { type: "FeatureCollection", features: [] } };
  return {
    version: 8,
    sources: { ...(tiles || {}), ...(relief || {}), shadow },
    ...(relief ? { terrain: { source: "heights", exaggeration: 1 } } : {}),
    light: { anchor: "map", color: "#ffffff", intensity: dark ? 0.25 : 0.35, position: [1.2, 200, 40] },
    layers,
  } as unknown as StyleSpecification;
}
