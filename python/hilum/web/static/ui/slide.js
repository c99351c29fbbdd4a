import { DicomWeb } from "../api/dicomweb.js";
import { number, numbers, personName, text } from "../api/dataset.js";
import { RequestError, isAbort, wordsOf } from "../api/errors.js";
import { Tag } from "../api/tag.js";
import { debounce, fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { OverlayChoice } from "./overlaychoice.js";
import { SlideChoice } from "./slidechoice.js";

const UID = "[0-9.]{1,64}";
const NAME = new RegExp(`^#/study/(${UID})/series/(${UID})(?:/instance/(${UID})/frame/(\\d{1,9}))?$`);
const ROUND = [1, 2, 5];
const OVERLAYS = new Set(["SEG"]);
const QUIET = 120;

/**
 * What OpenSeadragon is asked here.
 * @typedef {object} Zoomable
 * @property {{goHome: () => void, zoomBy: (factor: number) => void, applyConstraints: () => void, getZoom: (current: boolean) => number,
 *   viewportToImageZoom: (zoom: number) => number, setRotation: (degrees: number) => void, getRotation: () => number}} viewport
 * @property {(event: string, run: () => void) => void} addHandler
 * @property {(options: object) => void} addTiledImage
 */

/**
 * @typedef {object} TileSource
 * @property {(level: number, x: number, y: number) => string} getTileUrl
 */

/** @typedef {((options: object) => Zoomable) & {IIIFTileSource: new (information: object) => TileSource}} OpenSeadragon */

/** A slide, or one large frame, in tiles by IIIF. */
class SlidePage {
  constructor() {
    this.client = new DicomWeb(new URL("dicom-web/", document.baseURI));
    this.heading = h("h1", {}, "Loading\u2026");
    this.subheading = h("p", {});
    this.pixels = h("div", { class: "pixels" });
    this.bar = h("i", {});
    this.length = h("span", {});
    this.scale = h("div", { class: "slide-scale", hidden: true }, this.bar, this.length);
    this.back = h("a", { class: "round", title: "Back to the series", "aria-label": "Back to the series", href: "./" }, icon("back"));
    this.stage = h("main", { class: "slide-stage", "aria-label": "Image area" }, this.pixels, this.scale, h("p", { class: "note slide-note" }, "Not for diagnosis"));
    /** @type {Zoomable | null} */
    this.view = null;
    /** Millimetres of one pixel of the image; 0: not known. */
    this.spacing = 0;
    /** The name of the image, without what is chosen of it. */
    this.name = "";
    this.overlay = new OverlayChoice(debounce(QUIET, () => void this.#replace()), OVERLAYS);
    /** @type {SlideChoice | null} */
    this.choice = null;
    const tool = (/** @type {string} */ name, /** @type {string} */ label, /** @type {(view: Zoomable) => void} */ run) =>
      h("button", { type: "button", class: "round", title: label, "aria-label": label, onclick: () => this.view && run(this.view) }, icon(name));
    this.controls = h("div", { class: "slide-tools", role: "toolbar", "aria-label": "What is shown", hidden: true });
    const bar = h("header", { class: "slide-bar" }, this.back, h("div", { class: "title" }, this.heading, this.subheading),
      tool("zoomout", "Zoom out", (view) => zoom(view, 1 / 1.6)), tool("zoom", "Zoom in", (view) => zoom(view, 1.6)),
      tool("rotate", "Rotate", (view) => view.viewport.setRotation((view.viewport.getRotation() + 90) % 360)),
      tool("fit", "Fit to screen", (view) => view.viewport.goHome()));
    document.body.replaceChildren(h("div", { class: "slide" }, bar, this.stage, this.controls));
    window.addEventListener("hashchange", () => location.reload());
    window.addEventListener("keydown", (event) => {
      if (event.key === "[" || event.key === "]") this.choice?.step(event.key === "]" ? 1 : -1);
    });
  }

  async start() {
    const match = NAME.exec(location.hash);
    if (!match) return this.#fail("This address names no image.");
    const [, study = "", series = "", instance = "", frame = ""] = match;
    this.back.setAttribute("href", `./#/study/${study}/series/${series}`);
    try {
      this.name = instance ? `${instance}:${frame}` : series;
      this.#open(await this.#source());
      const [of, objects] = await Promise.all([this.client.study(study), this.client.metadata(study, series)]);
      this.#describe(of, instance ? objects.filter((one) => text(one, Tag.SOPInstanceUID) === instance) : objects);
      if (!instance) await this.#offer(study, series, objects);
    } catch (error) {
      if (!isAbort(error)) this.#fail(wordsOf(error));
    }
    return undefined;
  }

  /**
   * Tiles of what is chosen now.
   * @returns {Promise<TileSource>}
   */
  async #source() {
    const name = this.name + (this.choice?.parameters ?? "");
    const response = await fetch(new URL(`iiif/3/${name}/info.json`, document.baseURI));
    if (!response.ok) throw new RequestError((await response.text()).trim() || `The server answered ${response.status}.`, response.status);
    const source = new (library().IIIFTileSource)(await response.json());
    const query = new URLSearchParams();
    this.overlay.apply(query, false);
    if (query.size) {
      const plain = source.getTileUrl.bind(source);
      source.getTileUrl = (level, x, y) => `${plain(level, x, y)}?${query}`;
    }
    return source;
  }

  /** @param {TileSource} source */
  #open(source) {
    this.view = library()({
      element: this.pixels, tileSources: [source], showNavigationControl: false, showNavigator: true, navigatorPosition: "TOP_RIGHT",
      maxZoomPixelRatio: 4, minPixelRatio: 0.6, animationTime: 0.4, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, crossOriginPolicy: false,
      drawer: "canvas",
    });
    for (const event of ["open", "animation", "resize", "rotate"]) this.view.addHandler(event, () => this.#measure());
    this.view.addHandler("open", () => this.view && Object.assign(this.view, { preserveViewport: true }));
    this.view.addHandler("tile-load-failed", () => this.stage.setAttribute("data-failed", ""));
  }

  /** Shows what is chosen now, at the same place. */
  async #replace() {
    try {
      const tileSource = await this.#source();
      this.stage.removeAttribute("data-failed");
      this.view?.addTiledImage({ tileSource, index: 0, replace: true, success: () => this.stage.setAttribute("data-shown", this.choice?.parameters ?? "") });
    } catch (error) {
      this.#fail(wordsOf(error));
    }
  }

  /**
   * Offers what can be chosen.
   * @param {string} study
   * @param {string} series
   * @param {Dataset[]} objects
   */
  async #offer(study, series, objects) {
    this.choice = new SlideChoice(objects, debounce(QUIET, () => void this.#replace()));
    const found = [...this.choice.controls(), ...(await this.overlay.controls(this.client, study, series))];
    this.controls.hidden = found.length === 0;
    this.controls.append(...found);
  }

  /**
   * @param {Dataset | null} study
   * @param {Dataset[]} objects
   */
  #describe(study, objects) {
    const name = personName(study ?? undefined, Tag.PatientName) || "No name";
    const largest = objects.reduce((best, one) => ((number(one, Tag.TotalPixelMatrixColumns) ?? 0) > (number(best, Tag.TotalPixelMatrixColumns) ?? 0) ? one : best), objects[0] ?? {});
    fill(this.heading, name);
    fill(this.subheading, [text(study ?? undefined, Tag.PatientID), text(largest, Tag.SeriesDescription), text(largest, Tag.Modality)].filter(Boolean).join(" \u00b7 "));
    document.title = `${name} \u2013 hilum`;
    const total = number(largest, Tag.TotalPixelMatrixColumns);
    const width = number(largest, Tag.ImagedVolumeWidth);
    const [row = 0] = numbers(largest, Tag.PixelSpacing);
    this.spacing = total && width ? width / total : row;
    this.#measure();
  }

  /** Draws the scale bar: a round length of 60 to 150 pixels. */
  #measure() {
    if (!this.view || !this.spacing) return;
    const pixel = this.spacing / this.view.viewport.viewportToImageZoom(this.view.viewport.getZoom(true));
    const least = 60 * pixel;
    const power = 10 ** Math.floor(Math.log10(least));
    const length = (ROUND.find((step) => step * power >= least) ?? 10) * power;
    this.scale.hidden = false;
    this.bar.style.width = `${length / pixel}px`;
    fill(this.length, length >= 10 ? `${length / 10} cm` : length >= 1 ? `${length} mm` : `${Number((length * 1000).toPrecision(3))} \u00b5m`);
  }

  /** @param {string} words */
  #fail(words) {
    if (!this.view) fill(this.heading, "Image");
    this.stage.append(h("p", { class: "slide-message", role: "alert" }, words));
  }
}

/** @returns {OpenSeadragon} */
function library() {
  const found = /** @type {{OpenSeadragon?: OpenSeadragon}} */ (/** @type {unknown} */ (window)).OpenSeadragon;
  if (!found) throw new Error("OpenSeadragon is not loaded");
  return found;
}

/**
 * @param {Zoomable} view
 * @param {number} factor
 */
function zoom(view, factor) {
  view.viewport.zoomBy(factor);
  view.viewport.applyConstraints();
}

void new SlidePage().start();
