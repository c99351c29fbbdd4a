import { debounce, h } from "./dom.js";

/**
 * Scroll bar of the stack at the right edge; lighter where images are already loaded.
 */
export class Slider {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.input = h("input", { type: "range", min: "1", step: "1", "aria-label": "Image", "aria-orientation": "vertical" });
    this.loaded = h("canvas", { width: "1", height: "1", "aria-hidden": "true" });
    this.element = h("div", { class: "slider" }, this.loaded, this.input);
    this.input.addEventListener("input", () => stage.go(Number(this.input.value) - 1));
    stage.addEventListener("image", () => this.update());
    this.drawLoaded = debounce(60, () => this.#drawLoaded());
    stage.loader.addEventListener("kept", this.drawLoaded);
    stage.addEventListener("window", this.drawLoaded);
  }

  update() {
    const length = this.stage.stack?.length ?? 0;
    this.element.hidden = length < 2;
    this.input.max = String(length);
    this.input.value = String(this.stage.index + 1);
    this.input.setAttribute("aria-valuetext", `Image ${this.stage.index + 1} of ${length}`);
    this.drawLoaded();
  }

  #drawLoaded() {
    const images = this.stage.stack?.images ?? [];
    if (images.length < 2) return;
    this.loaded.height = Math.min(images.length, 1024);
    const context = /** @type {CanvasRenderingContext2D} */ (this.loaded.getContext("2d"));
    context.clearRect(0, 0, 1, this.loaded.height);
    context.fillStyle = "#3f7f8c";
    const step = this.loaded.height / images.length;
    images.forEach((image, at) => {
      if (this.stage.isReady(image)) context.fillRect(0, at * step, 1, Math.max(1, step));
    });
  }
}
