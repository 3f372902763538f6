// The drawn city: MapLibre for the ground, deck.gl above it for what is live. No React in here.
import type { Layer as DeckLayer, PickingInfo } from "@deck.gl/core";
import { PathLayer, ScatterplotLayer, SolidPolygonLayer } from "@deck.gl/layers";
import { MapboxOverlay } from "@deck.gl/mapbox";
import { AttributionControl, Map as Ground, NavigationControl, ScaleControl, setWorkerUrl, type MapMouseEvent } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";

import type { CityMap } from "../api";
import { style } from "./ground";
import type { Layer } from "./live";
import { look } from "./looks";

setWorkerUrl(new URL(workerUrl, location.href).href);
export type Spot = [number, number];
export interface Building {
  id: string;
  name?: string;
  address?: string;
  use: string;
  height: number;
  source: string;
}
export interface Sight {
  lon: number;
  lat: number;
  zoom: number;
  pitch: number;
  bearing: number;
}
export interface Shown {
  layers: Layer[];
  chosen: number | null;
  alerts: Set<number>;
  measure: Spot[];
}
interface Hears {
  thing: (thing: number, name: string) => void;
  building: (building: Building, at: Spot) => void;
  nothing: () => void;
  measured: (spot: Spot) => void;
  moved: (sight: Sight) => void;
}

const MOST_IN_SOFTWARE = 10_000; // points that are drawn without a graphics processor

/** Whether the browser draws without a graphics processor. */
function software(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl && info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer);
}

export class Canvas {
  readonly ground: Ground;
  private readonly overlay: MapboxOverlay;
  private shown: Shown = { layers: [], chosen: null, alerts: new Set(), measure: [] };
  private measuring = false;
  private shadow: GeoJSON.GeoJSON | null = null;
  private light: [number, number] | null = null;
  private every = 1;
  private readonly software = software();

  constructor(
    element: HTMLElement,
    private readonly city: CityMap,
    private dark: boolean,
    sight: Sight | null,
    private readonly hears: Hears,
    words: { map: string },
  ) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const bounds = city.bounds ?? [-0.01, -0.01, 0.01, 0.01];
    // The panel on the left is no part of the view.
    const room = { top: 20, right: 20, bottom: 20, left: element.clientWidth > 900 ? 340 : 20 };
    this.ground = new Ground({
      container: element,
      style: style(city, dark),
      ...(sight
        ? { center: [sight.lon, sight.lat] as Spot, zoom: sight.zoom, pitch: sight.pitch, bearing: sight.bearing }
        : { bounds, fitBoundsOptions: { padding: room, pitch: 50, bearing: -15 } }),
      maxPitch: 75,
      maxZoom: 20,
      minZoom: 8,
      attributionControl: false,
      fadeDuration: calm ? 0 : 200,
      pixelRatio: Math.min(devicePixelRatio, 2),
      locale: { "Map.Title": words.map },
    });
    this.ground.addControl(new AttributionControl({ compact: true }), "bottom-right");
    this.ground.addControl(new ScaleControl({ maxWidth: 90 }), "bottom-right");
    this.ground.addControl(new NavigationControl({ visualizePitch: true }), "bottom-right");
    // deck.gl 9.4 asks for the height of the view's middle by a name that MapLibre 6 has no more.
    if (!("transform" in this.ground)) Object.defineProperty(this.ground, "transform", { get: () => ({ elevation: this.ground.getCenterElevation() }) });
    const mute = () => element.querySelector("#deckgl-overlay")?.setAttribute("tabindex", "-1"); // it hears no key: the ground does
    this.overlay = new MapboxOverlay({ onLoad: mute, interleaved: false, layers: [], pickingRadius: 8, getCursor: () => "" });
    this.ground.addControl(this.overlay);
    this.ground.on("click", (event) => this.click(event));
    this.ground.on("moveend", () => hears.moved(this.sight()));
    this.ground.on("style.load", () => {
      this.put();
      element.dataset["ready"] = "yes";
    });
    element.dataset["city"] = "map";
  }

  destroy(): void {
    this.ground.remove();
  }

  sight(): Sight {
    const { lng, lat } = this.ground.getCenter();
    return { lon: lng, lat, zoom: this.ground.getZoom(), pitch: this.ground.getPitch(), bearing: this.ground.getBearing() };
  }

  /** What is seen now: its middle, and whether a place is in it. */
  view(): { centre: Spot; holds: (spot: Spot) => boolean } {
    const { lng, lat } = this.ground.getCenter();
    const { clientWidth, clientHeight } = this.ground.getContainer();
    const holds = (spot: Spot) => {
      const { x, y } = this.ground.project(spot);
      return x >= 0 && y >= 0 && x <= clientWidth && y <= clientHeight;
    };
    return { centre: [lng, lat], holds };
  }

  fly(spot: Spot, zoom = 17): void {
    this.ground.easeTo({ center: spot, zoom: Math.max(this.ground.getZoom(), zoom), duration: 600 });
  }

  /** Move as another canvas moves. */
  follow(other: Canvas): void {
    other.ground.on("move", (event) => {
      if (event.originalEvent === undefined && !other.ground.isMoving()) return; // it was moved by us
      const { lon, lat, zoom, pitch, bearing } = other.sight();
      this.ground.jumpTo({ center: [lon, lat], zoom, pitch, bearing });
    });
  }

  theme(dark: boolean): void {
    if (dark === this.dark) return;
    this.dark = dark;
    this.ground.setStyle(style(this.city, dark), { diff: false });
  }

  measure(on: boolean): void {
    this.measuring = on;
    this.ground.getCanvas().style.cursor = on ? "crosshair" : "";
  }

  /** Light from the sun at azimuth and elevation [deg], and the shadow that it casts; none: as usual. */
  sun(sun: { azimuth: number; elevation: number } | null, shadow: GeoJSON.GeoJSON | null): void {
    this.light = sun && [sun.azimuth, Math.max(2, 90 - sun.elevation)];
    this.shadow = shadow;
    this.put();
  }

  /** Draw; returns of how many points one is drawn: in software so many that the map can still be moved. */
  draw(shown: Shown): number {
    this.shown = shown;
    const many = shown.layers.reduce((sum, { length }) => sum + length, 0);
    this.every = this.software ? Math.max(1, Math.ceil(many / MOST_IN_SOFTWARE)) : 1;
    this.overlay.setProps({ layers: this.layers() });
    return this.every;
  }

  private put(): void {
    const source = this.ground.getSource("shadow") as { setData?: (data: GeoJSON.GeoJSON) => void } | undefined;
    source?.setData?.(this.shadow ?? { type: "FeatureCollection", features: [] });
    const [azimuth, polar] = this.light ?? [200, 40];
    if (this.ground.isStyleLoaded() || source) this.ground.setLight({ anchor: "map", color: "#ffffff", intensity: this.dark ? 0.25 : 0.4, position: [1.2, azimuth, polar] });
  }

  private click(event: MapMouseEvent): void {
    const spot: Spot = [event.lngLat.lng, event.lngLat.lat];
    if (this.measuring) return this.hears.measured(spot);
    const picked = this.overlay.pickObject({ x: event.point.x, y: event.point.y, radius: 8 }) as PickingInfo | null;
    const layer = picked && this.shown.layers.find(({ kind }) => picked.layer?.id === `kind-${kind}`);
    const row = picked ? picked.index * this.every : -1;
    if (layer && row >= 0) return this.hears.thing(layer.places.thing[row]!, layer.places.name?.[row] ?? "");
    const [building] = this.ground.getLayer("buildings") ? this.ground.queryRenderedFeatures(event.point, { layers: ["buildings"] }) : [];
    if (building) return this.hears.building(building.properties as Building, spot);
    this.hears.nothing();
  }

  /** A place with the height of the ground there [m], as far as its tile has come. */
  private readonly above = (spot: Spot): [number, number, number] => [...spot, this.ground.queryTerrainElevation(spot) ?? 0];

  private layers(): DeckLayer[] {
    const { layers, chosen, alerts, measure } = this.shown;
    const rim: [number, number, number, number] = this.dark ? [10, 14, 16, 255] : [255, 255, 255, 255];
    const drawn: DeckLayer[] = layers.map((layer) => {
      const own = look(layer.kind);
      return new ScatterplotLayer({
        id: `kind-${layer.kind}`,
        data: {
          length: Math.ceil(layer.length / this.every),
          attributes: {
            getPosition: { value: layer.positions, size: 3, stride: 24 * this.every },
            getFillColor: { value: layer.colours.slice(), size: 4, stride: 4 * this.every, normalized: true },
          },
        },
        getRadius: own.radius,
        radiusMinPixels: own.least,
        radiusMaxPixels: own.most,
        stroked: this.every === 1,
        getLineColor: rim,
        lineWidthUnits: "pixels",
        getLineWidth: own.ring ? 2 : 0.8,
        pickable: true,
        updateTriggers: { getFillColor: layer.version },
        parameters: { depthCompare: "always" },
      });
    });
    const rings = (id: string, things: number[], colour: [number, number, number, number], radius: number) => {
      const spots = things.flatMap((thing) => {
        const layer = layers.find((one) => one.row(thing) !== undefined);
        const row = layer?.row(thing);
        return layer && row !== undefined ? [layer.spot(row)] : [];
      });
      if (spots.length)
        drawn.push(
          new ScatterplotLayer({ id, data: spots, getPosition: (spot) => spot, filled: false, stroked: true, getLineColor: colour, lineWidthUnits: "pixels", getLineWidth: 3, radiusUnits: "pixels", getRadius: radius, parameters: { depthCompare: "always" } }),
        );
    };
    rings("alerts", [...alerts], [213, 94, 0, 255], 15);
    if (chosen !== null) rings("chosen", [chosen], this.dark ? [124, 212, 208, 255] : [15, 95, 99, 255], 19);
    if (measure.length) {
      const line: [number, number, number, number] = this.dark ? [124, 212, 208, 255] : [15, 95, 99, 255];
      if (measure.length > 2) drawn.push(new SolidPolygonLayer({ id: "measured", data: [measure.map(this.above)], getPolygon: (ring) => ring, getFillColor: [line[0], line[1], line[2], 40], extruded: false }));
      drawn.push(
        new PathLayer({ id: "measure", data: [measure.map(this.above)], getPath: (path) => path, getColor: line, widthUnits: "pixels", getWidth: 3, parameters: { depthCompare: "always" } }),
        new ScatterplotLayer({ id: "corners", data: measure.map(this.above), getPosition: (spot) => spot, radiusUnits: "pixels", getRadius: 5, getFillColor: line, parameters: { depthCompare: "always" } }),
      );
    }
    return drawn;
  }
}

const RADIUS = 6_371_008.8; // of a sphere as large as the Earth [m]
const rad = (degrees: number) => (degrees * Math.PI) / 180;

/** Length of a path [m] on the sphere. */
export function distance(path: Spot[]): number {
  let sum = 0;
  for (let i = 1; i < path.length; i++) {
    const [a, b] = [path[i - 1]!, path[i]!];
    const h = Math.sin(rad(b[1] - a[1]) / 2) ** 2 + Math.cos(rad(a[1])) * Math.cos(rad(b[1])) * Math.sin(rad(b[0] - a[0]) / 2) ** 2;
    sum += 2 * RADIUS * Math.asin(Math.sqrt(h));
  }
  return sum;
}

/** Area inside a closed path [m²] on the sphere. */
export function area(path: Spot[]): number {
  let sum = 0;
  for (let i = 0; i < path.length; i++) {
    const [a, b] = [path[i]!, path[(i + 1) % path.length]!];
    sum += rad(b[0] - a[0]) * (2 + Math.sin(rad(a[1])) + Math.sin(rad(b[1])));
  }
  return Math.abs((sum * RADIUS * RADIUS) / 2);
}
