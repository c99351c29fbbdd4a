import { svg } from "./dom.js";

/** Outlines on a grid of 24, drawn with a line of 1.75. @type {Record<string, string[]>} */
const PATHS = {
  back: ["M15 5l-7 7 7 7"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  search: ["M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14z", "M16.2 16.2L21 21"],
  scroll: ["M5 8.5l7-4 7 4-7 4z", "M5 12.5l7 4 7-4", "M5 16.5l7 4 7-4"],
  window: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z", "M12 4v16", "M15 6v12", "M18 8v8"],
  pan: ["M12 3v18", "M3 12h18", "M9 6l3-3 3 3", "M9 18l3 3 3-3", "M6 9l-3 3 3 3", "M18 9l3 3-3 3"],
  zoom: ["M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14z", "M16.2 16.2L21 21", "M11 8v6", "M8 11h6"],
  zoomout: ["M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14z", "M16.2 16.2L21 21", "M8 11h6"],
  volume: ["M12 3l8 4.5v9L12 21l-8-4.5v-9z", "M12 12l8-4.5", "M12 12v9", "M12 12L4 7.5"],
  tiles: ["M4 4h7v7H4z", "M13 4h7v7h-7z", "M4 13h7v7H4z", "M16.5 13.5v6", "M13.5 16.5h6"],
  measure: ["M3.5 15.5l12-12 5 5-12 12z", "M7 12l2 2", "M10 9l2.5 2.5", "M13 6l2 2"],
  play: ["M8 5l11 7-11 7z"],
  pause: ["M8.5 5v14", "M15.5 5v14"],
  invert: ["M4 4h16v16H4z", "M4 20L20 4v16z"],
  rotate: ["M19.5 12a7.5 7.5 0 1 1-2.3-5.4", "M19.5 3.5v4h-4"],
  fliph: ["M12 3v18", "M9 7L3.5 17H9z", "M15 7l5.5 10H15z"],
  flipv: ["M3 12h18", "M7 9L17 3.5V9z", "M7 15l10 5.5V15z"],
  fit: ["M4 9V4h5", "M20 9V4h-5", "M4 15v5h5", "M20 15v5h-5"],
  actual: ["M7 8l2-1.5V17", "M15 8l2-1.5V17", "M12.5 10.2v.1", "M12.5 14.2v.1"],
  reset: ["M4.5 12a7.5 7.5 0 1 0 2.3-5.4", "M4.5 3.5v4h4"],
  tags: ["M4 6h2", "M9 6h11", "M4 12h2", "M9 12h11", "M4 18h2", "M9 18h11"],
  download: ["M12 4v11", "M7.5 11l4.5 4.5 4.5-4.5", "M4.5 20h15"],
  help: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", "M9.6 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.2.9-1.2 1.8", "M12 16.6v.1"],
  series: ["M4 4h7v7H4z", "M13 4h7v7h-7z", "M4 13h7v7H4z", "M13 13h7v7h-7z"],
  more: ["M5 12h.1", "M12 12h.1", "M19 12h.1"],
  previous: ["M14 6l-6 6 6 6"],
  next: ["M10 6l6 6-6 6"],
  warning: ["M12 4L2.8 20h18.4z", "M12 10v4.5", "M12 17.2v.1"],
  document: ["M6 3h8l4.5 4.5V21H6z", "M14 3v5h4.5", "M9 13h6", "M9 16.5h6"],
  erase: ["M5 7h14", "M9.5 7V4.5h5V7", "M7 7l1 13h8l1-13"],
  info: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", "M12 11v5.5", "M12 7.6v.1"],
  presets: ["M4 7h9", "M17 7h3", "M15 5v4", "M4 12h3", "M11 12h9", "M9 10v4", "M4 17h11", "M19 17h1", "M17 15v4"],
};

/**
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const paths = (PATHS[name] ?? []).map((d) => svg("path", { d }));
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" }, ...paths);
}
