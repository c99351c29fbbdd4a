import { h } from "./dom.js";

const SETTLED_MS = 160;

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
    this.title = h("span", { class: "pane-title" }, name);
    this.element = h("section", { class: "pane", "data-pane": name, "aria-label": name, "aria-busy": "true" }, this.image, this.title);
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
