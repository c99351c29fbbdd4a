import { items, numbers, text, texts } from "../api/dataset.js";
import { Tag } from "../api/tag.js";

/** CT windows in Hounsfield units, on the keys 1 to 6. @type {readonly Preset[]} */
export const CT_PRESETS = Object.freeze([
  { name: "Soft tissue", center: 40, width: 400 },
  { name: "Lung", center: -600, width: 1500 },
  { name: "Bone", center: 480, width: 2500 },
  { name: "Brain", center: 40, width: 80 },
  { name: "Mediastinum", center: 50, width: 350 },
  { name: "Liver", center: 90, width: 150 },
]);

const SHAPES = new Map([["LINEAR", "linear"], ["LINEAR_EXACT", "linear-exact"], ["SIGMOID", "sigmoid"]]);

/**
 * Windows that the object itself proposes for a frame, the first is the one the server applies.
 * @param {Dataset[]} groups functional groups of the frame, then the data set itself
 * @returns {Preset[]}
 */
export function storedWindows(groups) {
  for (const group of groups) {
    const holder = items(group, Tag.FrameVOILUTSequence)[0] ?? group;
    const centers = numbers(holder, Tag.WindowCenter);
    const widths = numbers(holder, Tag.WindowWidth);
    const names = texts(holder, Tag.WindowCenterWidthExplanation);
    const windows = centers.map((center, at) => ({ center, width: widths[at] ?? 0, name: names[at] || `Stored ${at + 1}` }));
    const usable = windows.filter((window, at) => window.width >= 1 && !windows.slice(0, at).some((other) => sameWindow(other, window)));
    if (usable.length) return usable.length === 1 ? [{ .../** @type {Preset} */ (usable[0]), name: names[0] || "Stored" }] : usable;
  }
  return [];
}

/**
 * Name of the VOI LUT function in a rendered request (PS3.18 8.3.5.1.2).
 * @param {Dataset[]} groups
 * @returns {string}
 */
export function windowShape(groups) {
  const holder = groups.map((group) => items(group, Tag.FrameVOILUTSequence)[0] ?? group).find((group) => text(group, Tag.VOILUTFunction));
  return SHAPES.get(text(holder, Tag.VOILUTFunction)) ?? "linear";
}

/**
 * Table that turns the grey levels of an image rendered with one window into those of another: what is between black and white is
 * exact to a grey level, what was cut off stays cut off. Good enough for the eye until the server's image is there.
 * @param {VoiWindow} from
 * @param {VoiWindow} to
 * @param {boolean} inverse whether low values are bright (MONOCHROME1)
 * @returns {Uint8ClampedArray}
 */
export function approximation(from, to, inverse) {
  const table = new Uint8ClampedArray(256);
  for (let grey = 0; grey < 256; grey++) {
    const shown = (inverse ? 255 - grey : grey) / 255;
    const value = (shown - 0.5) * Math.max(from.width - 1, 1e-6) + from.center - 0.5;
    const wanted = (value - (to.center - 0.5)) / Math.max(to.width - 1, 1e-6) + 0.5;
    table[grey] = inverse ? 255 - wanted * 255 : wanted * 255;
  }
  return table;
}

/**
 * Window after a drag: right is wider, up is brighter (lower centre). The step follows the width, so that narrow and wide
 * windows are equally easy to set.
 * @param {VoiWindow} start
 * @param {number} dx in CSS pixels since the start
 * @param {number} dy
 * @returns {VoiWindow}
 */
export function dragged(start, dx, dy) {
  const width = Math.max(1, start.width * Math.exp(dx / 220));
  const center = start.center + (dy / 400) * Math.max(start.width, 4);
  return { center: round(center, width), width: round(width, width) };
}

/**
 * @param {number} value
 * @param {number} width
 */
function round(value, width) {
  const digits = width >= 20 ? 0 : width >= 2 ? 1 : 3;
  return Number(value.toFixed(digits));
}

/**
 * @param {VoiWindow | null} one
 * @param {VoiWindow | null} other
 */
export function sameWindow(one, other) {
  return one === other || (one !== null && other !== null && one.center === other.center && one.width === other.width);
}

/**
 * @param {number} value
 * @returns {string}
 */
export function formatNumber(value) {
  const rounded = Number(value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0));
  return String(rounded).replace("-", "\u2212");
}
