import { formatDate, personName, text } from "../api/dataset.js";
import { isAbort, wordsOf } from "../api/errors.js";
import { Tag } from "../api/tag.js";
import { FrameLoader } from "../render/loader.js";
import { Stack } from "../render/stack.js";
import { CT_PRESETS } from "../render/voi.js";
import { Cine, DEFAULT_RATE } from "../tools/cine.js";
import { Measure } from "../tools/measure.js";
import { wholeRange } from "../tools/range.js";
import { makeActions } from "./actions.js";
import { ObjectCard } from "./card.js";
import { CineBar } from "./cinebar.js";
import { debounce, fill, h } from "./dom.js";
import { openHelp } from "./help.js";
import { icon } from "./icons.js";
import { Interaction } from "./interaction.js";
import { Overlay } from "./overlay.js";
import { viewerHash } from "./route.js";
import { openSheet } from "./sheet.js";
import { Slider } from "./slider.js";
import { Stage } from "./stage.js";
import { Status } from "./status.js";
import { SeriesStrip, imagesFirst } from "./strip.js";
import { TagsPanel } from "./tags.js";
import { Toolbar } from "./toolbar.js";

const MIB = 1024 * 1024;

/**
 * The page of one study: series strip, stage, tools.
 */
export class ViewerPage {
  /**
   * @param {DicomWeb} client
   * @param {Navigate} navigate
   * @param {() => void} leave back to the list
   */
  constructor(client, navigate, leave) {
    this.client = client;
    this.navigate = navigate;
    this.leave = leave;
    this.study = "";
    this.series = "";
    /** @type {Map<string, Stack>} */
    this.stacks = new Map();
    this.controller = new AbortController();
    this.tagsOpen = false;
    /** @type {ToolName} */
    this.tool = "window";
    this.touch = matchMedia("(pointer: coarse)").matches;
    this.stageElement = h("main", { class: "stage", tabindex: "-1", "aria-label": "Image area" });
    this.stage = new Stage(new FrameLoader(client, memoryBudget()), this.stageElement);
    this.measure = new Measure(this.stage);
    this.cine = new Cine(this.stage);
    this.cineBar = new CineBar(this.cine);
    this.card = new ObjectCard(client);
    this.status = new Status();
    this.slider = new Slider(this.stage);
    this.strip = new SeriesStrip((uid, size) => this.#thumbnail(uid, size), (uid) => this.#choose(uid));
    this.tags = new TagsPanel(() => this.toggleTags());
    this.actions = makeActions(this);
    this.toolbar = new Toolbar(this.actions, () => this.#openSeries());
    this.interaction = new Interaction(this);
    this.heading = h("h1", {});
    this.subheading = h("p", {});
    this.nav = h("nav", { class: "strip", "aria-label": "Series" }, this.strip.element);
    this.panel = h("aside", { class: "panel", "aria-label": "DICOM attributes", hidden: true });
    this.element = this.#build();
    this.saveRoute = debounce(250, () => this.#saveRoute());
    this.#listen();
  }

  /** @param {Route} route */
  async open(route) {
    if (route.study !== this.study) await this.#openStudy(route);
    else if (route.series && route.series !== this.series) await this.#openSeriesOf(route.series, route.image);
    else if (route.image) this.stage.go(route.image - 1);
  }

  /** Stops what is under way; the list is shown. */
  close() {
    this.controller.abort();
    this.saveRoute.cancel();
    this.cine.stop();
    this.stage.setStack(null, 0);
    this.study = "";
    this.series = "";
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  /** @param {ToolName} tool */
  chooseTool(tool) {
    this.tool = tool;
    this.stageElement.dataset.tool = tool;
    this.toolbar.update();
  }

  actualSize() {
    this.stage.viewport.actualSize();
    this.stage.refine();
  }

  resetView() {
    this.stage.viewport.reset();
    this.stage.setWindow(null);
    this.toolbar.update();
  }

  toggleTags() {
    this.tagsOpen = !this.tagsOpen;
    this.panel.hidden = !this.tagsOpen;
    this.element.classList.toggle("with-panel", this.tagsOpen);
    if (this.tagsOpen) {
      this.#showTags();
      this.tags.search.focus();
    } else {
      this.stageElement.focus();
    }
    this.toolbar.update();
  }

  openPresets() {
    const presets = this.#presets();
    const list = h("ul", { class: "menu" });
    const sheet = openSheet("Window", list, "narrow");
    const entry = (/** @type {string} */ name, /** @type {string} */ note, /** @type {() => void} */ run) =>
      h("li", {}, h("button", { type: "button", onclick: () => { sheet.close(); run(); } }, h("span", {}, name), h("small", {}, note)));
    fill(list,
      entry("As stored", "what the object says", () => this.stage.setWindow(null)),
      ...presets.map((preset) => entry(preset.name, `W ${preset.width}  L ${preset.center}`, () => this.applyPreset(preset))),
      entry("Whole range", "all values of this image", () => void this.applyWholeRange()));
  }

  /** @param {Preset} preset */
  applyPreset(preset) {
    this.stage.setWindow({ center: preset.center, width: preset.width });
  }

  /** @param {number} key 1 to 6 */
  presetKey(key) {
    const preset = this.stage.stack?.modality === "CT" ? CT_PRESETS[key - 1] : this.stage.image?.windows[key - 1];
    if (preset && this.stage.image?.colour === false) this.applyPreset(preset);
  }

  async applyWholeRange() {
    const image = this.stage.image;
    if (!image) return;
    try {
      const range = await wholeRange(this.client, image, this.controller.signal);
      if (range && this.stage.image === image) this.stage.setWindow(range);
    } catch (error) {
      if (!isAbort(error)) this.status.flash(wordsOf(error));
    }
  }

  /** Saves the object of the image as the archive holds it. */
  async download() {
    const image = this.stage.image;
    if (!image) return;
    this.status.flash("Loading the object\u2026");
    try {
      const accept = 'application/dicom; transfer-syntax=*, multipart/related; type="application/dicom"; transfer-syntax=*';
      const blob = await this.client.blob(this.client.instancePath(image), accept, this.controller.signal);
      const url = URL.createObjectURL(blob);
      h("a", { href: url, download: `${image.instance}.dcm` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      this.status.flash("Saved.");
    } catch (error) {
      if (!isAbort(error)) this.status.flash(wordsOf(error));
    }
  }

  /** Opens the page that shows a slide as a whole, or a large frame, by tiles. */
  openTiles() {
    const image = this.stage.image;
    const slide = this.stage.stack?.modality === "SM";
    if (image) this.#leaveFor("slide.html", slide ? "" : `/instance/${image.instance}/frame/${image.frame}`);
  }

  /** Opens the page that shows the series as planes and in 3D. */
  openVolume() {
    this.#leaveFor("volume.html", "");
  }

  /**
   * Goes to another page about this series.
   * @param {string} page
   * @param {string} part of the series
   */
  #leaveFor(page, part) {
    this.saveRoute.cancel(); // a change of our own address would call the browser back
    location.href = `${page}#/study/${this.study}/series/${this.series}${part}`;
  }

  openHelp() {
    openHelp(this.actions);
  }

  /** @param {number} series forward, negative: back */
  stepSeries(series) {
    const list = this.strip.series;
    const at = list.findIndex((one) => text(one, Tag.SeriesInstanceUID) === this.series);
    const next = list[at + series];
    if (next) this.#choose(text(next, Tag.SeriesInstanceUID));
  }

  #build() {
    const back = h("button", { type: "button", class: "round back", "aria-label": "Back to the studies", title: "Back (Backspace)", onclick: () => this.leave() }, icon("back"));
    const closePanel = h("button", { type: "button", class: "round", "aria-label": "Close attributes", onclick: () => this.toggleTags() }, icon("close"));
    this.panel.append(h("div", { class: "sheet-head" }, h("h2", {}, "DICOM attributes"), closePanel), this.tags.element);
    const overlay = new Overlay(this.stage);
    this.stageElement.append(overlay.element, this.card.element, this.slider.element, this.cineBar.element, this.status.element,
      h("p", { class: "note" }, "Not for diagnosis"));
    return h("div", { class: "viewer" },
      h("header", { class: "bar" }, back, h("div", { class: "title" }, this.heading, this.subheading)),
      this.toolbar.element, this.nav, this.stageElement, this.panel);
  }

  #listen() {
    const { stage } = this;
    stage.addEventListener("image", () => {
      this.saveRoute();
      this.#reflectImage();
    });
    stage.addEventListener("state", () => this.#reflectState());
    stage.addEventListener("window", () => this.toolbar.update());
    stage.canvas.addEventListener("drawn", debounce(80, () => this.#describe()));
    this.cine.addEventListener("change", () => this.toolbar.update());
    this.measure.addEventListener("change", () => this.toolbar.update());
    this.strip.element.addEventListener("click", () => this.nav.contains(this.strip.element) || document.querySelector("dialog")?.close());
  }

  /** @param {Route} route */
  async #openStudy(route) {
    this.close();
    this.study = route.study;
    this.stacks.clear();
    this.strip.setSeries([]);
    fill(this.heading, "Loading\u2026");
    fill(this.subheading);
    const { signal } = (this.controller = new AbortController());
    this.status.loading("Loading the study\u2026");
    try {
      const [study, series] = await Promise.all([this.client.study(route.study, signal), this.client.series(route.study, signal)]);
      this.#title(study);
      const ordered = imagesFirst(series);
      this.strip.setSeries(ordered);
      if (!series.length) throw new Error("empty");
      const first = text(ordered[0], Tag.SeriesInstanceUID);
      await this.#openSeriesOf(route.series || first, route.image);
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      const words = error instanceof Error && error.message === "empty" ? "This study is not in the archive. It may have been deleted or moved." : wordsOf(error);
      fill(this.heading, "Study");
      this.status.failed(words, () => { this.study = ""; void this.open(route); });
    }
  }

  /**
   * @param {string} series
   * @param {number} image from 1; 0: the first
   */
  async #openSeriesOf(series, image) {
    this.cine.stop();
    this.series = series;
    this.strip.select(series);
    const { signal } = this.controller;
    try {
      let stack = this.stacks.get(series);
      if (!stack) {
        this.stage.setStack(null, 0);
        this.status.loading("Loading the series\u2026");
        stack = new Stack(this.study, series, await this.client.metadata(this.study, series, signal));
        if (signal.aborted) return;
        this.stacks.set(series, stack);
      }
      if (this.series === series) this.#showStack(stack, image);
    } catch (error) {
      if (signal.aborted || isAbort(error) || this.series !== series) return;
      this.status.failed(wordsOf(error), () => void this.#openSeriesOf(series, image));
    }
  }

  /**
   * @param {Stack} stack
   * @param {number} image
   */
  #showStack(stack, image) {
    const rate = stack.frameRate;
    this.cine.setRate(rate ?? DEFAULT_RATE);
    this.stage.setStack(stack, Math.max(0, image - 1));
    this.cineBar.offer(rate !== null && stack.images[0]?.hasPixels === true);
    if (this.tool !== "measure") this.chooseTool(this.#usualTool(stack));
    if (!stack.length) this.status.failed("This series holds no objects.", () => void this.#openSeriesOf(stack.series, image));
    this.slider.update();
    this.toolbar.update();
  }

  /**
   * What a drag should do first: fingers scroll, a mouse sets the window.
   * @param {Stack} stack
   * @returns {ToolName}
   */
  #usualTool(stack) {
    const windowed = stack.images[0]?.colour === false;
    if (stack.length > 1 && (this.touch || !windowed)) return "scroll";
    return windowed ? "window" : "pan";
  }

  #reflectImage() {
    const image = this.stage.image;
    this.card.show(image && !image.hasPixels ? image : null);
    if (this.tagsOpen) this.#showTags();
    this.toolbar.update();
  }

  #reflectState() {
    const { stage } = this;
    this.stageElement.setAttribute("aria-busy", String(stage.state === "loading"));
    if (stage.state === "loading") this.status.loading(stage.picture ? "" : "Loading the image\u2026");
    else if (stage.state === "failed") this.status.failed(stage.message, () => stage.retry());
    else this.status.clear();
  }

  #showTags() {
    this.tags.show(this.stage.image?.dataset ?? {});
  }

  /** What a screen reader says of the image. */
  #describe() {
    const { stage } = this;
    const image = stage.picture?.image;
    if (!image || !stage.stack) return;
    const at = stage.stack.images.indexOf(image) + 1;
    const words = [text(image.dataset, Tag.Modality), text(image.dataset, Tag.SeriesDescription), `image ${at} of ${stage.stack.length}`];
    stage.canvas.setAttribute("aria-label", words.filter(Boolean).join(", "));
  }

  /** @param {Dataset | null} study */
  #title(study) {
    const name = personName(study ?? undefined, Tag.PatientName) || "No name";
    fill(this.heading, name);
    const facts = [text(study ?? undefined, Tag.PatientID), formatDate(text(study ?? undefined, Tag.StudyDate)), text(study ?? undefined, Tag.StudyDescription)];
    fill(this.subheading, facts.filter(Boolean).join(" \u00b7 "));
    this.heading.title = name;
    this.subheading.title = this.subheading.textContent ?? "";
    document.title = `${name} \u2013 hilum`;
  }

  /** @returns {Preset[]} */
  #presets() {
    const stored = this.stage.image?.windows ?? [];
    return this.stage.stack?.modality === "CT" ? [...(stored.length > 1 ? stored : []), ...CT_PRESETS] : stored.length > 1 ? stored : [];
  }

  /** @param {string} series */
  #choose(series) {
    if (series !== this.series) this.navigate(viewerHash(this.study, series), true);
  }

  #openSeries() {
    const sheet = openSheet("Series", this.strip.element, "series-sheet");
    this.strip.select(this.series);
    sheet.addEventListener("close", () => this.nav.append(this.strip.element));
  }

  #saveRoute() {
    if (this.study && this.series) this.navigate(viewerHash(this.study, this.series, this.stage.index + 1), true);
  }

  /**
   * @param {string} series
   * @param {number} size
   */
  #thumbnail(series, size) {
    return this.client.thumbnailUrl(this.study, series, size);
  }
}

/** Bytes of decoded images to keep: a quarter of a small device's memory is too much. */
function memoryBudget() {
  const gigabytes = /** @type {{deviceMemory?: number}} */ (navigator).deviceMemory ?? 4;
  return (gigabytes >= 8 ? 512 : gigabytes >= 4 ? 256 : 96) * MIB;
}
