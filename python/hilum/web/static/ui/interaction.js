import { isAbort } from "../api/errors.js";
import { dragged } from "../render/voi.js";
import { Gestures } from "../tools/gestures.js";
import { wholeRange } from "../tools/range.js";

const SCROLL_LENGTH = 480;

/**
 * What mouse, fingers and keys do on the stage.
 */
export class Interaction {
  /** @param {ViewerPage} page */
  constructor(page) {
    this.page = page;
    this.stage = page.stage;
    /** @type {ToolName | null} */
    this.using = null;
    this.startIndex = 0;
    this.startZoom = 1;
    /** @type {VoiWindow | null} */
    this.startWindow = null;
    this.gestures = new Gestures(page.stageElement, {
      begin: (drag) => this.#begin(drag),
      move: (drag) => this.#move(drag),
      end: () => this.#end(),
      pinch: (factor, around, dx, dy) => this.#pinch(factor, around, dx, dy),
      wheel: (steps) => this.stage.step(steps),
      zoom: (factor, around) => this.#zoom(factor, around),
      doubleTap: (point) => this.#doubleTap(point),
    });
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {Drag} drag
   * @returns {ToolName}
   */
  #toolOf(drag) {
    if (drag.button === 1 || drag.shift) return "pan";
    if (drag.button === 2) return "zoom";
    return this.page.tool;
  }

  /** @param {Drag} drag */
  #begin(drag) {
    const { page, stage } = this;
    if (!stage.picture) return;
    this.using = this.#toolOf(drag);
    this.startIndex = stage.index;
    this.startZoom = stage.viewport.zoom;
    if (this.using !== "pan" && this.using !== "zoom") page.cine.stop();
    if (this.using === "measure") page.measure.begin(drag.start);
    if (this.using === "window") this.#beginWindow(drag);
  }

  /** @param {Drag} drag */
  #beginWindow(drag) {
    const { page, stage } = this;
    const image = stage.image;
    if (!image || image.colour) {
      this.using = null;
      return;
    }
    this.startWindow = stage.activeWindow;
    stage.beginWindowDrag();
    if (this.startWindow) return;
    const signal = page.controller.signal;
    wholeRange(page.client, image, signal).then((range) => {
      if (this.using !== "window" || stage.image !== image || !range) return;
      this.startWindow = range;
      drag.start = drag.now;
      stage.setWindow(range);
    }, (error) => { if (!isAbort(error)) this.using = null; });
  }

  /** @param {Drag} drag */
  #move(drag) {
    const { page, stage } = this;
    const dx = drag.now.x - drag.start.x;
    const dy = drag.now.y - drag.start.y;
    switch (this.using) {
      case "window":
        if (this.startWindow) stage.setWindow(dragged(this.startWindow, dx, this.#darkIsHigh() ? -dy : dy, stage.image?.exact ?? false));
        break;
      case "scroll":
        stage.go(this.startIndex + Math.trunc(dy / this.#scrollStep()));
        break;
      case "pan":
        stage.viewport.panBy(drag.now.x - drag.last.x, drag.now.y - drag.last.y);
        break;
      case "zoom":
        stage.viewport.zoomTo(this.startZoom * Math.exp(-dy / 160), drag.start);
        break;
      case "measure":
        page.measure.move(drag.now);
        break;
    }
  }

  /** Up is brighter, also where high values are dark (MONOCHROME1, or inverted here). */
  #darkIsHigh() {
    return (this.stage.image?.inverse ?? false) !== this.stage.viewport.inverted;
  }

  #end() {
    const { page, stage, using } = this;
    this.using = null;
    if (using === "window") stage.endWindowDrag();
    if (using === "measure") page.measure.end();
    if (using === "zoom") stage.refine();
    page.toolbar.update();
  }

  /** Pixels of drag for one image: the whole stack in one stroke, but never too jumpy or too slow. */
  #scrollStep() {
    return Math.min(28, Math.max(3, SCROLL_LENGTH / (this.stage.stack?.length ?? 1)));
  }

  /**
   * @param {number} factor
   * @param {{x: number, y: number}} around
   * @param {number} dx
   * @param {number} dy
   */
  #pinch(factor, around, dx, dy) {
    this.stage.viewport.panBy(dx, dy);
    this.#zoom(factor, around);
  }

  /**
   * @param {number} factor
   * @param {{x: number, y: number}} around
   */
  #zoom(factor, around) {
    this.stage.viewport.zoomTo(this.stage.viewport.zoom * factor, around);
    this.stage.refine();
  }

  /** @param {{x: number, y: number}} point */
  #doubleTap(point) {
    const { viewport } = this.stage;
    if (viewport.zoom > 1.01 || viewport.zoom < 0.99) viewport.fit();
    else this.#zoom(2.5, point);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { page } = this;
    if (!page.element.isConnected || page.element.hidden || document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target instanceof HTMLInputElement && target.type !== "range") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#navigationKey(event.key) || this.#actionKey(event)) event.preventDefault();
  }

  /** @param {string} key */
  #navigationKey(key) {
    const { page, stage } = this;
    const centre = { x: stage.viewport.width / 2, y: stage.viewport.height / 2 };
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => stage.step(1), ArrowUp: () => stage.step(-1), PageDown: () => stage.step(10), PageUp: () => stage.step(-10),
      Home: () => stage.go(0), End: () => stage.go(Infinity), ArrowRight: () => page.stepSeries(1), ArrowLeft: () => page.stepSeries(-1),
      "+": () => this.#zoom(1.25, centre), "=": () => this.#zoom(1.25, centre), "-": () => this.#zoom(0.8, centre),
      Backspace: () => page.leave(),
    };
    const move = moves[key];
    if (!move) return false;
    move();
    return true;
  }

  /** @param {KeyboardEvent} event */
  #actionKey(event) {
    const { page } = this;
    const onButton = event.target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
    if (onButton) return false;
    if (/^[1-6]$/.test(event.key)) {
      page.presetKey(Number(event.key));
      return true;
    }
    if (event.key === "Escape" && page.tagsOpen) {
      page.toggleTags();
      return true;
    }
    const wanted = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = page.actions.find((one) => one.key === wanted);
    if (!action?.enabled()) return false;
    action.run();
    page.toolbar.update();
    return true;
  }
}
