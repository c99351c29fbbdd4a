import { isAbort, wordsOf } from "../api/errors.js";
import { sameWindow } from "../render/voi.js";
import { Viewport } from "../render/viewport.js";
import { h } from "./dom.js";

const AHEAD = 24;
const BEHIND = 8;

/**
 * Shows one stack: which image, with which window; loads what is looked at and what will be.
 *
 * Events: "image" another image is asked for, "shown" a picture is on the screen, "state" loading or failed, "window".
 */
export class Stage extends EventTarget {
  /**
   * @param {FrameLoader} loader
   * @param {HTMLElement} element what the canvas is put into
   */
  constructor(loader, element) {
    super();
    this.loader = loader;
    this.element = element;
    this.canvas = h("canvas", { class: "image", role: "img", "aria-label": "Image" });
    this.viewport = new Viewport(this.canvas);
    /** @type {Stack | null} */
    this.stack = null;
    this.index = 0;
    this.direction = 1;
    /** @type {VoiWindow | null} chosen by the user, null: as each image says */
    this.window = null;
    /** @type {"empty" | "loading" | "shown" | "failed"} */
    this.state = "empty";
    this.message = "";
    this.turn = 0;
    this.draggingWindow = false;
    this.following = false;
    this.drag = new AbortController();
    element.prepend(this.canvas);
    new ResizeObserver(() => this.#resized()).observe(element);
  }

  /** @returns {StackImage | null} the image that is asked for */
  get image() {
    return this.stack?.images[this.index] ?? null;
  }

  /** @returns {Picture | null} what is on the screen */
  get picture() {
    return this.viewport.picture;
  }

  /** Window in use: the user's, else the one stored for the image; null when only the server knows. */
  get activeWindow() {
    return this.window ?? this.image?.windows[0] ?? null;
  }

  /**
   * @param {Stack | null} stack
   * @param {number} index
   */
  setStack(stack, index) {
    this.drag.abort();
    this.loader.cancelAll();
    this.loader.held = null;
    this.stack = stack;
    this.window = null;
    this.viewport.show(null, null);
    this.viewport.reset();
    this.index = -1;
    this.#setState("empty");
    if (stack) this.go(index);
  }

  /** @param {number} index */
  go(index) {
    if (!this.stack?.length) return;
    const next = Math.min(this.stack.length - 1, Math.max(0, Math.round(index)));
    if (next === this.index) return;
    this.direction = next >= this.index ? 1 : -1;
    this.index = next;
    this.dispatchEvent(new Event("image"));
    void this.#present();
  }

  /** @param {number} images forward, negative: back */
  step(images) {
    this.go(this.index + images);
  }

  /** @param {VoiWindow | null} window */
  setWindow(window) {
    if (!this.image || this.image.colour || sameWindow(window, this.window)) return;
    this.window = window;
    if (this.picture) this.viewport.show(this.picture, window);
    this.dispatchEvent(new Event("window"));
    if (this.draggingWindow) void this.#follow();
    else void this.#present();
  }

  /** While the window is dragged: approximate at once, the server's image as fast as it comes, nothing else is loaded. */
  beginWindowDrag() {
    this.draggingWindow = true;
    this.loader.cancelAll();
  }

  endWindowDrag() {
    this.draggingWindow = false;
    void this.#present();
  }

  /** Tries again after a failure. */
  retry() {
    void this.#present();
  }

  /** @param {StackImage} image */
  isReady(image) {
    return this.loader.has(this.#wanted(image));
  }

  /** Zoomed in beyond what was loaded? Then the stored pixels are asked for. */
  refine() {
    if (this.picture && !this.picture.full && this.#wanted(this.picture.image).viewport === null) void this.#present();
  }

  /** Loads and shows the image that is asked for, the newest request wins. */
  async #present() {
    const image = this.image;
    if (!image) return;
    const turn = ++this.turn;
    if (!image.hasPixels) {
      this.viewport.show(null, null);
      this.#setState("shown");
      return;
    }
    const wanted = this.#wanted(image);
    const ready = this.loader.cached(wanted);
    if (ready) {
      this.#show(ready);
      this.#prefetch();
      return;
    }
    const similar = this.loader.anyOf(image);
    if (similar) this.#show(similar);
    this.#setState("loading");
    await this.#load(wanted, turn);
  }

  /**
   * @param {Wanted} wanted
   * @param {number} turn
   */
  async #load(wanted, turn) {
    const loading = this.loader.load(wanted, true);
    this.#prefetch();
    try {
      const picture = await loading;
      const near = this.picture?.image !== this.image && picture.image.series === this.image?.series;
      if (turn === this.turn) this.#show(picture);
      else if (near && Math.abs(this.#indexOf(picture.image) - this.index) < Math.abs(this.#indexOf(this.picture?.image) - this.index)) {
        this.viewport.show(picture, this.window);
        this.loader.held = picture;
      }
    } catch (error) {
      if (turn !== this.turn || isAbort(error)) return;
      this.message = wordsOf(error);
      this.viewport.show(null, null);
      this.#setState("failed");
    }
  }

  /** Keeps asking for the window of the moment, one request at a time, until it is on the screen. */
  async #follow() {
    if (this.following) return;
    this.following = true;
    const { signal } = (this.drag = new AbortController());
    try {
      for (let image = this.image; image && this.draggingWindow; image = this.image) {
        const asked = this.window;
        const picture = await this.loader.once(this.#wanted(image), signal);
        if (this.image !== image || !this.draggingWindow) break;
        this.viewport.show(picture, this.window);
        if (sameWindow(asked, this.window)) break;
      }
    } catch {
      // The approximation stays; the end of the drag asks again and reports what is wrong.
    } finally {
      this.following = false;
    }
  }

  /** @param {StackImage | undefined} image */
  #indexOf(image) {
    const at = image && this.stack ? this.stack.images.indexOf(image) : -1;
    return at < 0 ? -1e9 : at;
  }

  /** @param {Picture} picture */
  #show(picture) {
    const first = this.picture === null;
    this.loader.held = picture;
    this.viewport.show(picture, this.window);
    if (first) this.viewport.draw();
    const exact = sameWindow(picture.window, this.window);
    if (exact) this.#setState("shown");
    this.dispatchEvent(new Event("shown"));
  }

  #prefetch() {
    const { stack, index } = this;
    if (!stack) return;
    const near = neighbours(index, stack.length, this.direction);
    const wanted = near.map((at) => /** @type {StackImage} */ (stack.images[at])).filter((image) => image.hasPixels);
    const current = this.image;
    const list = current ? [current, ...wanted] : wanted;
    const keep = (/** @type {Wanted} */ job) => Math.abs(this.#indexOf(job.image) - index) <= 3 && sameWindow(job.window, this.window);
    this.loader.prefetch(list.map((image) => this.#wanted(image)), keep);
  }

  /**
   * @param {StackImage} image
   * @returns {Wanted}
   */
  #wanted(image) {
    return { image, window: image.colour ? null : this.window, viewport: this.#size(image) };
  }

  /**
   * Pixels to ask for: never more than stored, and of large images no more than the screen shows (in steps, so that a
   * window that changes its size a little does not load everything again).
   * @param {StackImage} image
   */
  #size(image) {
    const { viewport } = this;
    const step = 256;
    const scale = Math.max(1, viewport.zoom) * viewport.ratio;
    const width = Math.ceil((viewport.width * scale) / step) * step;
    const height = Math.ceil((viewport.height * scale) / step) * step;
    const fits = Math.min(width / image.columns, height / image.rows);
    const turned = Math.min(height / image.columns, width / image.rows);
    const shown = Math.max(fits, turned);
    if (shown >= 0.8 || image.rows * image.columns <= 1024 * 1024) return null;
    return { width: Math.round(image.columns * shown), height: Math.round(image.rows * shown) };
  }

  #resized() {
    this.viewport.resize(this.element.clientWidth, this.element.clientHeight);
    this.refine();
  }

  /** @param {"empty" | "loading" | "shown" | "failed"} state */
  #setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/**
 * Positions around one, the nearest first, more of them where the user is going.
 * @param {number} index
 * @param {number} length
 * @param {number} direction
 */
function neighbours(index, length, direction) {
  const list = [];
  for (let away = 1; away <= AHEAD; away++) {
    list.push(index + away * direction);
    if (away <= BEHIND) list.push(index - away * direction);
  }
  return list.filter((at) => at >= 0 && at < length);
}
