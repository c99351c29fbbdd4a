import { fill, h } from "./dom.js";

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/** A bar of a round length. */
export class ScaleBar {
  constructor() {
    this.bar = h("i", {});
    this.words = h("span", {});
    this.element = h("div", { class: "scale" }, this.bar, this.words);
  }

  /**
   * @param {number} pixelsPerMm
   * @param {number} most pixels that it may be long
   * @param {string} [note] behind its length
   */
  show(pixelsPerMm, most, note = "") {
    const length = STEPS.filter((step) => step * pixelsPerMm <= most).pop() ?? 1;
    this.bar.style.width = `${length * pixelsPerMm}px`;
    fill(this.words, [length >= 10 ? `${length / 10} cm` : `${length} mm`, note].filter(Boolean).join(" "));
  }
}
