import { valueText } from "../api/dataset.js";
import { debounce, fill, h } from "./dom.js";

const MOST_FOUND = 400;

/**
 * All attributes of the object that is shown, with search over tag, keyword and value.
 */
export class TagsPanel {
  /** @param {() => void} close */
  constructor(close) {
    this.close = close;
    /** @type {Dataset} */
    this.dataset = {};
    /** @type {Map<string, string>} */
    this.keywords = new Map();
    this.search = h("input", { type: "search", placeholder: "Search tag, keyword or value", "aria-label": "Search attributes", autocomplete: "off", spellcheck: "false" });
    this.body = h("div", { class: "tags-body", tabindex: "0", role: "region", "aria-label": "Attributes" });
    this.element = h("div", { class: "tags" }, this.search, this.body);
    this.search.addEventListener("input", debounce(120, () => this.#render()));
    this.search.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" && !this.search.value) this.close();
    });
    void this.#loadKeywords();
  }

  /** @param {Dataset} dataset */
  show(dataset) {
    if (dataset === this.dataset) return;
    this.dataset = dataset;
    this.#render();
  }

  async #loadKeywords() {
    const { keywords } = await import("../api/keywords.js");
    this.keywords = keywords();
    this.#render();
  }

  #render() {
    const words = this.search.value.trim().toLowerCase();
    const top = this.body.scrollTop;
    if (words) fill(this.body, ...this.#found(words));
    else fill(this.body, ...this.#rows(this.dataset));
    this.body.scrollTop = words ? 0 : top;
  }

  /**
   * @param {Dataset} dataset
   * @returns {HTMLElement[]}
   */
  #rows(dataset) {
    return sortedTags(dataset).map((tag) => this.#row(tag, /** @type {DicomElement} */ (dataset[tag])));
  }

  /**
   * @param {string} tag
   * @param {DicomElement} element
   * @returns {HTMLElement}
   */
  #row(tag, element) {
    if (element.vr !== "SQ") return h("div", { class: "tag" }, ...this.#cells(tag, element));
    const list = /** @type {Dataset[]} */ (element.Value ?? []);
    const body = h("div", { class: "items" });
    const details = h("details", { class: "sequence" }, h("summary", { class: "tag" }, ...this.#cells(tag, element)), body);
    details.addEventListener("toggle", () => {
      if (!details.open || body.childElementCount) return;
      fill(body, ...list.flatMap((item, at) => [h("h4", {}, `Item ${at + 1}`), ...this.#rows(item ?? {})]));
    });
    return details;
  }

  /**
   * @param {string} tag
   * @param {DicomElement} element
   */
  #cells(tag, element) {
    const odd = parseInt(tag.slice(3, 4), 16) % 2 === 1;
    const name = this.keywords.get(tag) ?? (odd ? "private" : "");
    return [h("code", {}, `${tag.slice(0, 4)},${tag.slice(4)}`), h("span", { class: "name" }, name, " ", h("small", {}, element.vr)),
      h("span", { class: "value" }, describe(element))];
  }

  /**
   * @param {string} words
   * @returns {HTMLElement[]}
   */
  #found(words) {
    /** @type {HTMLElement[]} */
    const found = [];
    const compact = words.replace(/[(),\s]/g, "");
    this.#walk(this.dataset, "", (tag, element, path) => {
      const name = (this.keywords.get(tag) ?? "").toLowerCase();
      const hit = tag.toLowerCase().startsWith(compact) || name.includes(compact) || (element.vr !== "SQ" && describe(element).toLowerCase().includes(words));
      if (!hit || found.length >= MOST_FOUND) return;
      found.push(h("div", { class: "tag" }, ...this.#cells(tag, element), path ? h("span", { class: "path" }, `in ${path}`) : null));
    });
    return found.length ? found : [h("p", { class: "nothing" }, "No attribute matches.")];
  }

  /**
   * @param {Dataset} dataset
   * @param {string} path
   * @param {(tag: string, element: DicomElement, path: string) => void} visit
   */
  #walk(dataset, path, visit) {
    for (const tag of sortedTags(dataset)) {
      const element = /** @type {DicomElement} */ (dataset[tag]);
      visit(tag, element, path);
      if (element.vr !== "SQ") continue;
      const list = /** @type {Dataset[]} */ (element.Value ?? []);
      list.forEach((item, at) => this.#walk(item ?? {}, `${path && `${path} \u203a `}${this.keywords.get(tag) ?? tag} ${at + 1}`, visit));
    }
  }
}

/** @param {Dataset} dataset */
function sortedTags(dataset) {
  return Object.keys(dataset).filter((tag) => /^[0-9A-F]{8}$/.test(tag)).sort();
}

/**
 * @param {DicomElement} element
 * @returns {string}
 */
function describe(element) {
  const values = element.Value ?? [];
  if (element.vr === "SQ") return `${values.length} ${values.length === 1 ? "item" : "items"}`;
  if (element.BulkDataURI !== undefined) return "binary, kept apart";
  if (element.InlineBinary !== undefined) return `binary, ${Math.floor((element.InlineBinary.length * 3) / 4)} bytes`;
  const shown = values.slice(0, 32).map(valueText).join(" \\ ");
  return values.length > 32 ? `${shown} \u2026 (${values.length} values)` : shown;
}
