import { formatDate, formatTime, items, personName, text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { h } from "./dom.js";

/** What an item refers to, by its value type. */
const REFERENCES = new Map([["IMAGE", "image"], ["COMPOSITE", "object"], ["WAVEFORM", "waveform"], ["SCOORD", "region"], ["SCOORD3D", "region"], ["TCOORD", "times"]]);
const MOST_ITEMS = 2000;
const DEEPEST = 24;

/**
 * Content of a structured report (PS3.3 C.17.3) as nested text, null when there is none.
 * @param {Dataset} data
 * @returns {HTMLElement | null}
 */
export function reportTree(data) {
  const content = items(data, Tag.ContentSequence);
  if (!content.length) return null;
  const budget = { left: MOST_ITEMS };
  const tree = h("ul", { class: "report" }, ...branches(content, 0, budget));
  if (budget.left <= 0) tree.append(h("li", {}, "\u2026 the report is longer than this page shows."));
  return tree;
}

/**
 * @param {Dataset[]} content
 * @param {number} depth
 * @param {{left: number}} budget
 * @returns {HTMLElement[]}
 */
function branches(content, depth, budget) {
  if (depth > DEEPEST) return [];
  /** @type {Map<string, number>} */
  const references = new Map();
  const lines = content.flatMap((item) => {
    if (budget.left-- <= 0) return [];
    const name = text(items(item, Tag.ConceptNameCodeSequence)[0], Tag.CodeMeaning);
    const kind = REFERENCES.get(text(item, Tag.ValueType));
    const below = branches(items(item, Tag.ContentSequence), depth + 1, budget);
    if (kind && !name && !below.length) {
      references.set(kind, (references.get(kind) ?? 0) + 1);
      return [];
    }
    const container = text(item, Tag.ValueType) === "CONTAINER";
    const line = container ? [h("strong", {}, name || "Section")] : [name ? h("span", { class: "concept" }, name) : null, h("span", {}, kind ?? contentValue(item))];
    return [h("li", {}, ...line, below.length ? h("ul", {}, ...below) : null)];
  });
  return [...lines, ...[...references].map(([kind, count]) => h("li", { class: "concept" }, count > 1 ? `${count} \u00d7 ${kind}` : kind))];
}

/**
 * @param {Dataset} item
 * @returns {string}
 */
function contentValue(item) {
  switch (text(item, Tag.ValueType)) {
    case "TEXT": return text(item, Tag.TextValue);
    case "CODE": return text(items(item, Tag.ConceptCodeSequence)[0], Tag.CodeMeaning);
    case "NUM": return measured(items(item, Tag.MeasuredValueSequence)[0]);
    case "PNAME": return personName(item, Tag.PersonName);
    case "DATE": return formatDate(text(item, Tag.Date));
    case "TIME": return formatTime(text(item, Tag.Time));
    case "DATETIME": return formatDate(text(item, Tag.DateTime));
    case "UIDREF": return text(item, Tag.UID);
    default: return "";
  }
}

/** @param {Dataset | undefined} value */
function measured(value) {
  const unit = items(value, Tag.MeasurementUnitsCodeSequence)[0];
  const code = text(unit, Tag.CodeValue);
  return [text(value, Tag.NumericValue), code === "1" ? "" : text(unit, Tag.CodeMeaning) || code].filter(Boolean).join(" ");
}
