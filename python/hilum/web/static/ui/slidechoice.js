import { items, number, text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { choice } from "./choice.js";
import { h } from "./dom.js";

/**
 * Which optical path and focal plane of a slide is shown: what follows its name in addresses of tiles.
 */
export class SlideChoice {
  /**
   * @param {Dataset[]} objects of the slide
   * @param {() => void} changed
   */
  constructor(objects, changed) {
    this.changed = changed;
    /** @type {[string, string][]} identifier and word */
    this.paths = pathsOf(objects);
    this.planes = planesOf(objects);
    this.path = "";
    this.plane = 1;
    this.slider = h("input", { type: "range", min: "1", max: String(this.planes), value: "1", "aria-label": "Focal plane" });
    this.output = h("output", {}, `1 / ${this.planes}`);
    this.slider.addEventListener("input", () => this.#focus(Number(this.slider.value)));
  }

  /** @returns {Element[]} the controls; none where there is nothing to choose */
  controls() {
    const found = [];
    if (this.paths.length > 1) {
      found.push(choice("Light", this.paths, (path) => {
        this.path = path;
        this.changed();
      }));
    }
    if (this.planes > 1) found.push(h("div", { class: "choice focus-choice" }, h("span", {}, "Focus"), this.slider, this.output));
    return found;
  }

  /** @param {number} steps towards the eye */
  step(steps) {
    this.#focus(Math.min(this.planes, Math.max(1, this.plane + steps)));
  }

  /** What follows the name of the slide. */
  get parameters() {
    return (this.path ? `;opticalpath=${encodeURIComponent(this.path)}` : "") + (this.plane > 1 ? `;focalplane=${this.plane}` : "");
  }

  /** @param {number} plane */
  #focus(plane) {
    this.slider.value = String(plane);
    this.output.textContent = `${plane} / ${this.planes}`;
    if (plane === this.plane) return;
    this.plane = plane;
    this.changed();
  }
}

/**
 * Optical paths of the largest images; smaller ones are their levels.
 * @param {Dataset[]} objects
 * @returns {[string, string][]}
 */
function pathsOf(objects) {
  const widest = Math.max(0, ...objects.map((one) => number(one, Tag.TotalPixelMatrixColumns) ?? 0));
  const found = new Map();
  for (const object of objects) {
    if (number(object, Tag.TotalPixelMatrixColumns) !== widest) continue;
    for (const item of items(object, Tag.OpticalPathSequence)) {
      const identifier = text(item, Tag.OpticalPathIdentifier);
      if (identifier && !found.has(identifier)) found.set(identifier, text(item, Tag.OpticalPathDescription) || identifier);
    }
  }
  return [...found];
}

/**
 * How many focal planes all of the slide has.
 * @param {Dataset[]} objects
 */
function planesOf(objects) {
  return objects.reduce((most, object) => {
    const heights = new Set(items(object, Tag.PerFrameFunctionalGroupsSequence).map((groups) =>
      number(items(groups, Tag.PlanePositionSlideSequence)[0], Tag.ZOffsetInSlideCoordinateSystem) ?? 0));
    return Math.max(most, number(object, Tag.TotalPixelMatrixFocalPlanes) ?? 1, heights.size);
  }, 1);
}
