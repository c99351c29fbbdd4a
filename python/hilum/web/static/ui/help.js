import { CT_PRESETS } from "../render/voi.js";
import { h } from "./dom.js";
import { openSheet } from "./sheet.js";

/** @type {readonly [string, string][]} */
const MOUSE = [
  ["Wheel", "Scroll through the images"], ["Left drag", "The chosen tool"], ["Right drag", "Zoom"], ["Middle or Shift drag", "Pan"],
  ["Ctrl + wheel", "Zoom at the pointer"], ["Double click", "Fit to screen, or zoom in"],
];

/** @type {readonly [string, string][]} */
const TOUCH = [
  ["One finger", "The chosen tool"], ["Two fingers", "Zoom and pan"], ["Double tap", "Zoom in, again: fit"], ["Bar at the right edge", "Scroll"],
];

/** @type {readonly [string, string][]} */
const MOVES = [
  ["\u2191 \u2193", "Previous, next image"], ["Page \u2191 \u2193", "Ten images"], ["Home End", "First, last image"], ["\u2190 \u2192", "Previous, next series"],
  ["+ \u2212", "Zoom in, out"], ["Backspace", "Back to the studies"],
];

/** @param {Action[]} actions */
export function openHelp(actions) {
  /** @type {[string, string][]} */
  const keys = actions.filter((action) => action.keyName && action.id !== "presets").map((action) => [action.keyName, action.label]);
  /** @type {[string, string][]} */
  const presets = CT_PRESETS.map((preset, at) => [String(at + 1), `${preset.name} (CT)`]);
  const content = h("div", { class: "keys", tabindex: "0" }, table("Mouse", MOUSE), table("Touch", TOUCH), table("Move", MOVES), table("Keys", [...keys, ...presets]),
    h("p", { class: "small" }, "Images are rendered by the server for viewing. hilum is not a medical device: not for diagnosis."));
  openSheet("Keys and gestures", content, "wide");
}

/**
 * @param {string} title
 * @param {readonly [string, string][]} rows
 */
function table(title, rows) {
  return h("section", {}, h("h3", {}, title), h("dl", {}, ...rows.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])));
}
