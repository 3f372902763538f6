// The console's icons: one stroke, 24 units, drawn here.
const PATHS = {
  desk: "M4 6h16M4 12h10M4 18h7M17 15l2 2 3.5-4",
  map: "M9 4 3 6.5v13L9 17l6 3 6-2.5v-13L15 7 9 4Zm0 0v13m6-10v13",
  practices: "M12 3v4m0 10v4M3 12h4m10 0h4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z",
  things: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  decisions: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h5",
  cases: "M4 5h16v11H9l-5 4V5Z",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9c0-3.3 2.7-6 6-6s6 2.7 6 6M16 4.5a3.5 3.5 0 0 1 0 6.2M18 14.6c1.8 1 3 3 3 5.4",
  start: "M5 21V4m0 1h12l-2.5 4L17 13H5",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm5-1.5L21 21",
  close: "M6 6l12 12M18 6 6 18",
  play: "M7 5v14l12-7z",
  pause: "M8 5v14M16 5v14",
  layers: "m12 3 9 5-9 5-9-5 9-5Zm-9 9.5 9 5 9-5M3 17l9 5 9-5",
  measure: "M3 17 17 3l4 4L7 21l-4-4Zm4-4 2 2m1-5 2 2m1-5 2 2",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4m0-12.8L17 7M7 17l-1.4 1.4",
  moon: "M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5Z",
  share: "M14 5h5v5M19 5l-8 8M17 14v5H5V7h5",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 4v5l3.5 2",
  alert: "M12 4 2.5 20h19L12 4Zm0 6v4.5m0 2.5v.5",
  check: "m4 12.5 5 5L20 6.5",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 9c0-3.9 3.1-7 7-7s7 3.1 7 7",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  edit: "M4 20l4.5-1L19.500 8a2.100 2.100 0 0 0-3-3L5.500 16 4 20Zm11-13.500 3 3",
  back: "M15 5l-7 7 7 7",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3.5 9h17m-17 6h17M12 3c2.5 2.4 3.8 5.5 3.8 9S14.500 18.600 12 21c-2.500-2.400-3.800-5.500-3.800-9S9.500 5.400 12 3Z",
  locate: "M12 5v3m0 8v3M5 12h3m8 0h3M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
