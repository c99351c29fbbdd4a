import { formatDate, number, text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** Modalities whose objects have no pixels: no thumbnail is asked for. */
const WITHOUT_PIXELS = new Set(["SR", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "ECG", "HD", "EPS", "AU", "RWV", "FID", "PLAN", "ANN",
  "M3D", "RESP", "EEG", "EMG", "EOG", "TG", "STAIN", "LEN", "AR", "KER", "SRF", "VA", "IOL"]);

/** Modalities of what was made from other series. */
const DERIVED = new Set(["SEG", "RTDOSE", "RTIMAGE"]);

/**
 * Series of acquired images, then what was derived from them, then everything without pixels; each in the server's order.
 * @param {Dataset[]} series
 * @returns {Dataset[]}
 */
export function imagesFirst(series) {
  const rank = (/** @type {Dataset} */ one) => (WITHOUT_PIXELS.has(text(one, Tag.Modality)) ? 2 : DERIVED.has(text(one, Tag.Modality)) ? 1 : 0);
  return [0, 1, 2].flatMap((wanted) => series.filter((one) => rank(one) === wanted));
}

/**
 * The series of a study with a thumbnail each.
 */
export class SeriesStrip {
  /**
   * @param {(uid: string, size: number) => string} thumbnail address of a series' thumbnail
   * @param {(uid: string) => void} choose
   */
  constructor(thumbnail, choose) {
    this.thumbnail = thumbnail;
    this.choose = choose;
    /** @type {Dataset[]} */
    this.series = [];
    this.current = "";
    this.element = h("ol", { class: "series", "aria-label": "Series" });
    this.element.addEventListener("keydown", (event) => this.#keys(event));
  }

  /** @param {Dataset[]} series */
  setSeries(series) {
    this.series = series;
    fill(this.element, ...series.map((one) => h("li", {}, this.#card(one))));
    this.select(this.current);
  }

  /** @param {string} uid */
  select(uid) {
    this.current = uid;
    for (const button of this.#buttons()) {
      const on = button.dataset.series === uid;
      if (on) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (on && this.element.isConnected) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  /** @param {Dataset} series */
  #card(series) {
    const uid = text(series, Tag.SeriesInstanceUID);
    const modality = text(series, Tag.Modality);
    const count = number(series, Tag.NumberOfSeriesRelatedInstances);
    const date = text(series, Tag.SeriesDate);
    const name = text(series, Tag.SeriesDescription) || text(series, Tag.BodyPartExamined) || "Series";
    const place = h("span", { class: "thumb" }, ...this.#picture(uid, modality));
    const facts = [text(series, Tag.SeriesNumber) && `No. ${text(series, Tag.SeriesNumber)}`, count && (count === 1 ? "1 object" : `${count} objects`)];
    return h("button", { type: "button", "data-series": uid, title: [name, formatDate(date)].filter(Boolean).join("\n"), onclick: () => this.choose(uid) },
      place, h("span", { class: "caption" }, h("b", {}, name), h("small", {}, [modality, ...facts].filter(Boolean).join(" \u00b7 "))));
  }

  /**
   * @param {string} uid
   * @param {string} modality
   */
  #picture(uid, modality) {
    const label = () => [icon("document"), h("span", {}, modality || "?")];
    if (WITHOUT_PIXELS.has(modality)) return label();
    const image = h("img", { src: this.thumbnail(uid, 192), alt: "", loading: "lazy", decoding: "async", width: "96", height: "96", draggable: "false" });
    image.addEventListener("load", () => image.classList.add("there"));
    image.addEventListener("error", () => image.replaceWith(...label()));
    return [image];
  }

  #buttons() {
    return /** @type {HTMLButtonElement[]} */ ([...this.element.querySelectorAll("button")]);
  }

  /** @param {KeyboardEvent} event */
  #keys(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const buttons = this.#buttons();
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const next = buttons[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    next.focus();
  }
}
