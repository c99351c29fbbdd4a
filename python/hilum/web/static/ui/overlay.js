import { age, formatDate, formatTime, number, personName, text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { laterality, opposite, slicePosition } from "../render/geometry.js";
import { formatNumber } from "../render/voi.js";
import { fill, h } from "./dom.js";
import { ScaleBar } from "./scalebar.js";

/**
 * Text in the corners, orientation letters at the edges and the scale bar.
 * All of it speaks of the picture on the screen, not of one that is still loading.
 */
export class Overlay {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.corners = ["top-left", "top-right", "bottom-left", "bottom-right"].map((place) => h("div", { class: `corner ${place}` }));
    this.edges = ["left", "right", "top", "bottom"].map((place) => h("div", { class: `edge ${place}` }));
    this.scale = new ScaleBar();
    this.element = h("div", { class: "overlay", "aria-hidden": "true" }, ...this.corners, ...this.edges, this.scale.element);
    /** @type {StackImage | null} */
    this.shown = null;
    stage.canvas.addEventListener("drawn", () => this.update());
  }

  update() {
    const image = this.stage.picture?.image ?? null;
    this.element.hidden = image === null;
    if (!image) {
      this.shown = null;
      return;
    }
    if (image !== this.shown) {
      this.shown = image;
      this.#fixed(image);
    }
    this.#changing(image);
  }

  /** @param {StackImage} image */
  #fixed(image) {
    const data = image.dataset;
    const birth = text(data, Tag.PatientBirthDate);
    const years = age(birth, text(data, Tag.StudyDate)) || text(data, Tag.PatientAge).replace(/^0+(\d+)Y$/, "$1 y");
    lines(this.corners[0], [
      ["strong", personName(data, Tag.PatientName) || "No name"], ["", text(data, Tag.PatientID)],
      ["", [formatDate(birth), years, text(data, Tag.PatientSex)].filter(Boolean).join(" \u00b7 ")]]);
    lines(this.corners[1], [
      ["strong", text(data, Tag.StudyDescription)], ["", text(data, Tag.InstitutionName)],
      ["", [formatDate(text(data, Tag.StudyDate)), formatTime(text(data, Tag.StudyTime))].filter(Boolean).join(" ")],
      ["", text(data, Tag.AccessionNumber) && `Acc ${text(data, Tag.AccessionNumber)}`]]);
  }

  /** @param {StackImage} image */
  #changing(image) {
    const { stage } = this;
    const data = image.dataset;
    const stack = stage.stack;
    const at = stack ? stack.images.indexOf(image) + 1 : 1;
    const number_ = text(data, Tag.SeriesNumber);
    const thickness = number(data, Tag.SliceThickness);
    const plane = image.plane;
    const side = laterality(data);
    lines(this.corners[2], [
      ["", [number_ && `Series ${number_}`, text(data, Tag.SeriesDescription)].filter(Boolean).join(" \u00b7 ")],
      ["", [plane ? slicePosition(plane) : "", thickness ? `${formatNumber(thickness)} mm thick` : "", side && `Side ${side}`].filter(Boolean).join(" \u00b7 ")],
      ["count", `${image.frames > 1 ? "Frame" : "Image"} ${at} / ${stack?.length ?? 1}`]]);
    const shown = stage.window ?? image.windows[0] ?? null;
    const lossy = text(data, Tag.LossyImageCompression) === "01" ? "Lossy source" : "";
    lines(this.corners[3], [
      ["", lossy], ["", `Zoom ${Math.round(stage.viewport.scale * stage.viewport.ratio * 100)} %`],
      ["count", image.colour ? "Colour" : shown ? `W ${formatNumber(shown.width)}  L ${formatNumber(shown.center)}` : "Window automatic"]]);
    this.#letters(image);
    this.#scaleBar(image);
  }

  /** @param {StackImage} image */
  #letters(image) {
    const { row, column } = image.directions;
    const { viewport } = this.stage;
    const origin = viewport.toScreen({ x: 0, y: 0 });
    /** @type {[string, {x: number, y: number}][]} */
    const ways = [[row, viewport.toScreen({ x: 1, y: 0 })], [opposite(row), viewport.toScreen({ x: -1, y: 0 })],
      [column, viewport.toScreen({ x: 0, y: 1 })], [opposite(column), viewport.toScreen({ x: 0, y: -1 })]];
    const found = ["", "", "", ""];
    for (const [word, point] of ways) {
      const dx = point.x - origin.x;
      const dy = point.y - origin.y;
      found[Math.abs(dx) > Math.abs(dy) ? (dx < 0 ? 0 : 1) : dy < 0 ? 2 : 3] = word;
    }
    this.edges.forEach((edge, side) => fill(edge, found[side] ?? ""));
  }

  /** @param {StackImage} image */
  #scaleBar(image) {
    const spacing = image.spacing;
    this.scale.element.hidden = spacing.unit !== "mm";
    const { viewport } = this.stage;
    this.scale.show(viewport.scale / spacing.column, Math.min(viewport.width, viewport.height) / 4, spacing.note);
  }
}

/**
 * @param {HTMLElement | undefined} corner
 * @param {[string, string][]} rows class and text
 */
function lines(corner, rows) {
  if (!corner) return;
  const wanted = rows.filter(([, words]) => words);
  const same = wanted.length === corner.children.length && wanted.every(([, words], at) => corner.children[at]?.textContent === words);
  if (!same) fill(corner, ...wanted.map(([kind, words]) => h("div", { class: kind || null }, words)));
}
