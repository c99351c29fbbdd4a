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
 * Name of the object's VOI LUT function in a rendered request (PS3.18 8.3.5.1.2), "" when it names none.
 * @param {Dataset[]} groups
 * @returns {string}
 */
export function windowShape(groups) {
  const holder = groups.map((group) => items(group, Tag.FrameVOILUTSequence)[0] ?? group).find((group) => text(group, Tag.VOILUTFunction));
  return SHAPES.get(text(holder, Tag.VOILUTFunction)) ?? "";
}

/**
 * The grey level, 0 to 1, of a value is (value - offset) / span + 0.5 (PS3.3 C.11.2.1.2).
 * @param {VoiWindow} window
 * @param {boolean} exact LINEAR_EXACT instead of LINEAR
 */
function line(window, exact) {
  const least = Math.max(Math.abs(window.width) * 1e-6, 1e-12);
  return exact ? { offset: window.center, span: Math.max(window.width, least) }
    : { offset: window.center - 0.5, span: Math.max(window.width - 1, 1e-6) };
}

/**
 * Table that turns the grey levels of an image rendered with one window into those of another: what is between black and white is
 * exact to a grey level, what was cut off stays cut off. Good enough for the eye until the server's image is there.
 * @param {VoiWindow} from
 * @param {VoiWindow} to
 * @param {boolean} inverse whether low values are bright (MONOCHROME1)
 * @param {boolean} exact
 * @returns {Uint8ClampedArray}
 */
export function approximation(from, to, inverse, exact) {
  const table = new Uint8ClampedArray(256);
  const before = line(from, exact);
  const after = line(to, exact);
  for (let grey = 0; grey < 256; grey++) {
    const shown = (inverse ? 255 - grey : grey) / 255;
    const value = (shown - 0.5) * before.span + before.offset;
    const wanted = (value - after.offset) / after.span + 0.5;
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
 * @param {boolean} exact widths below 1 make sense
 * @returns {VoiWindow}
 */
export function dragged(start, dx, dy, exact) {
  const width = Math.max(exact ? 1e-9 : 1, start.width * Math.exp(dx / 220));
  const center = start.center + (dy / 400) * Math.max(start.width, exact ? 0 : 4);
  const digits = width >= 20 ? 0 : Math.min(12, Math.ceil(2 - Math.log10(width)));
  return { center: Number(center.toFixed(digits)), width: Number(width.toFixed(digits)) };
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
