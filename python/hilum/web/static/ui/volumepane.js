import { opposite } from "../render/geometry.js";
import { fill, h } from "./dom.js";
import { ScaleBar } from "./scalebar.js";

const SETTLED_MS = 160;
const LETTERS = [["L", "R"], ["P", "A"], ["H", "F"]];

/**
 * One image of a volume: asks for a coarse one while things move, for a fine one when they rest, never for two at once.
 */
export class VolumePane {
  /**
   * @param {string} name
   * @param {(size: Size, coarse: boolean) => string} address of the image
   * @param {(message: string) => void} failed
   */
  constructor(name, address, failed) {
    this.name = name;
    this.address = address;
    this.failed = failed;
    this.image = h("img", { class: "pixels", alt: "", draggable: "false" });
    this.words = h("small", {});
    this.letters = h("div", { class: "letters", "aria-hidden": "true" });
    this.scale = new ScaleBar();
    const title = h("p", { class: "pane-title" }, name, this.words);
    this.element = h("section", { class: "pane", "data-pane": name, "aria-label": name, "aria-busy": "true" }, this.image, this.letters, title, this.scale.element);
    this.busy = false;
    /** @type {"" | "coarse" | "fine"} what is wanted and not yet asked for */
    this.wanted = "";
    this.timer = 0;
    this.shown = "";
  }

  /** @returns {Size} in pixels of the page */
  get size() {
    return { width: Math.max(1, Math.round(this.element.clientWidth)), height: Math.max(1, Math.round(this.element.clientHeight)) };
  }

  /**
   * Letters of the directions, the scale and words beside the name.
   * @param {{right: Vector, down: Vector, spacing: number}} frame millimetres of a pixel
   * @param {string} words
   */
  annotate(frame, words) {
    const right = lettersOf(frame.right);
    const down = lettersOf(frame.down);
    fill(this.letters, h("b", { class: "left" }, opposite(right)), h("b", { class: "right" }, right), h("b", { class: "top" }, opposite(down)), h("b", { class: "bottom" }, down));
    fill(this.words, words);
    const { width, height } = this.size;
    this.scale.show(1 / frame.spacing, Math.min(width, height) / 4);
  }

  /** Something has changed, and may go on changing. */
  moved() {
    this.element.setAttribute("aria-busy", "true");
    this.#want("coarse");
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.settled(), SETTLED_MS);
  }

  /** Something has changed, and rests. */
  settled() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.#want("fine");
  }

  /** @param {"coarse" | "fine"} quality */
  #want(quality) {
    this.wanted = quality;
    if (!this.busy) void this.#next();
  }

  async #next() {
    if (!this.wanted || !this.element.clientWidth) return;
    const coarse = this.wanted === "coarse";
    this.wanted = "";
    const { size } = this;
    const scale = coarse ? 0.5 : Math.min(2, window.devicePixelRatio || 1);
    const address = this.address({ width: Math.round(size.width * scale), height: Math.round(size.height * scale) }, coarse);
    if (address !== this.shown) {
      this.busy = true;
      this.element.setAttribute("aria-busy", "true");
      try {
        await this.#load(address);
        this.shown = address;
      } catch (error) {
        this.failed(error instanceof Error ? error.message : String(error));
      }
      this.busy = false;
    }
    if (this.wanted) void this.#next();
    else if (!this.timer) this.element.setAttribute("aria-busy", "false");
  }

  /** @param {string} address */
  async #load(address) {
    const response = await fetch(address, { headers: { Accept: "image/jpeg" } });
    if (!response.ok) throw new Error((await response.text()).trim() || `The server answered ${response.status}.`);
    const url = URL.createObjectURL(await response.blob());
    const before = this.image.src;
    this.image.src = url;
    await this.image.decode();
    if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  }
}

/**
 * @param {Vector} vector
 * @returns {string}
 */
function lettersOf(vector) {
  const parts = vector.map((value, axis) => ({ size: Math.abs(value), letter: LETTERS[axis]?.[value > 0 ? 0 : 1] ?? "" }));
  return parts.filter((part) => part.size > 0.35).sort((one, other) => other.size - one.size).map((part) => part.letter).join("");
}
