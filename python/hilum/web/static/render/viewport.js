import { approximation, sameWindow } from "./voi.js";

const LARGEST_ZOOM = 40;

/**
 * The canvas on which one picture is drawn, and how: zoom, pan, rotation, flips, inversion, window.
 * Points on the screen are CSS pixels from the canvas' top left corner; points in the image are columns and rows.
 */
export class Viewport {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.pixels = document.createElement("canvas");
    this.width = 1;
    this.height = 1;
    this.ratio = 1;
    /** @type {Picture | null} */
    this.picture = null;
    /** @type {VoiWindow | null} window the user wants, null: as stored */
    this.window = null;
    /** @type {string} what `pixels` holds */
    this.prepared = "";
    /** @type {ImageData | null} */
    this.source = null;
    /** @type {Picture | null} */
    this.sourceOf = null;
    this.frameRequest = 0;
    this.zoom = 1;
    this.panX = 0;
    this.panY = 0;
    this.rotation = 0;
    this.flipX = false;
    this.flipY = false;
    this.inverted = false;
  }

  /** Back to the whole image, upright. */
  reset() {
    this.zoom = 1;
    this.panX = 0;
    this.panY = 0;
    this.rotation = 0;
    this.flipX = false;
    this.flipY = false;
    this.inverted = false;
    this.redraw();
  }

  /**
   * @param {number} width in CSS pixels
   * @param {number} height
   */
  resize(width, height) {
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    this.ratio = Math.min(window.devicePixelRatio || 1, 2.5);
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.draw();
  }

  /**
   * @param {Picture | null} picture
   * @param {VoiWindow | null} wanted
   */
  show(picture, wanted) {
    this.picture = picture;
    this.window = wanted;
    this.redraw();
  }

  /** Size of the shown image in its own pixels, squared up: width in columns, height in columns too. */
  get extent() {
    const image = this.picture?.image;
    return image ? { width: image.columns, height: image.rows * image.aspect } : { width: 1, height: 1 };
  }

  /** CSS pixels per column at zoom 1: the whole image fits. */
  get fitScale() {
    const { width, height } = this.extent;
    const turned = this.rotation % 180 !== 0;
    return Math.min(this.width / (turned ? height : width), this.height / (turned ? width : height));
  }

  /** CSS pixels per column now. */
  get scale() {
    return this.fitScale * this.zoom;
  }

  /** One pixel of the image on one pixel of the screen. */
  actualSize() {
    this.zoomTo(1 / (this.fitScale * this.ratio), { x: this.width / 2, y: this.height / 2 });
  }

  fit() {
    this.zoom = 1;
    this.panX = 0;
    this.panY = 0;
    this.redraw();
  }

  /**
   * @param {number} zoom
   * @param {Point} around stays where it is on the screen
   */
  zoomTo(zoom, around) {
    const limited = Math.min(LARGEST_ZOOM / this.fitScale, Math.max(0.2, zoom));
    const factor = limited / this.zoom;
    const x = around.x - this.width / 2;
    const y = around.y - this.height / 2;
    this.panX = x - (x - this.panX) * factor;
    this.panY = y - (y - this.panY) * factor;
    this.zoom = limited;
    this.#restrain();
    this.redraw();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  panBy(dx, dy) {
    this.panX += dx;
    this.panY += dy;
    this.#restrain();
    this.redraw();
  }

  /** Quarter turn clockwise on the screen. */
  rotate() {
    const mirrored = this.flipX !== this.flipY;
    this.rotation = (this.rotation + (mirrored ? 270 : 90)) % 360;
    [this.panX, this.panY] = [-this.panY, this.panX];
    this.redraw();
  }

  /** @param {"x" | "y"} axis of the screen along which left and right, or top and bottom, change places */
  flip(axis) {
    if (axis === "x") {
      this.flipX = !this.flipX;
      this.panX = -this.panX;
    } else {
      this.flipY = !this.flipY;
      this.panY = -this.panY;
    }
    this.redraw();
  }

  invert() {
    this.inverted = !this.inverted;
    this.redraw();
  }

  /**
   * @param {Point} point in the image: x columns, y rows
   * @returns {Point} on the screen
   */
  toScreen(point) {
    const matrix = this.#matrix();
    const aspect = this.picture?.image.aspect ?? 1;
    const result = matrix.transformPoint({ x: point.x, y: point.y * aspect });
    return { x: result.x, y: result.y };
  }

  /**
   * @param {Point} point on the screen
   * @returns {Point} in the image
   */
  toImage(point) {
    const aspect = this.picture?.image.aspect ?? 1;
    const result = this.#matrix().inverse().transformPoint(point);
    return { x: result.x, y: result.y / aspect };
  }

  /** Draws at the next frame of the screen, however often it is asked for. */
  redraw() {
    if (this.frameRequest) return;
    this.frameRequest = requestAnimationFrame(() => {
      this.frameRequest = 0;
      this.draw();
    });
  }

  draw() {
    const { context, picture } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.canvas.classList.toggle("inverted", this.inverted);
    if (picture) {
      const matrix = this.#matrix();
      const source = this.#prepare(picture);
      const { width, height } = this.extent;
      context.setTransform(new DOMMatrix().scale(this.ratio).multiply(matrix));
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(source, 0, 0, width, height);
    }
    this.canvas.dispatchEvent(new Event("drawn"));
  }

  /** From the squared-up image to the screen, in CSS pixels. */
  #matrix() {
    const { width, height } = this.extent;
    const scale = this.scale;
    return new DOMMatrix()
      .translate(this.width / 2 + this.panX, this.height / 2 + this.panY)
      .scale(this.flipX ? -scale : scale, this.flipY ? -scale : scale)
      .rotate(this.rotation)
      .translate(-width / 2, -height / 2);
  }

  /** Some of the image always stays in sight. */
  #restrain() {
    const { width, height } = this.extent;
    const turned = this.rotation % 180 !== 0;
    const limitX = ((turned ? height : width) * this.scale + this.width) / 2 - 40;
    const limitY = ((turned ? width : height) * this.scale + this.height) / 2 - 40;
    this.panX = Math.min(limitX, Math.max(-limitX, this.panX));
    this.panY = Math.min(limitY, Math.max(-limitY, this.panY));
  }

  /**
   * The picture with the wanted window: itself when it was rendered with it, else an approximation made here.
   * @param {Picture} picture
   * @returns {CanvasImageSource}
   */
  #prepare(picture) {
    const from = picture.window ?? picture.image.windows[0] ?? null;
    const to = this.window ?? picture.image.windows[0] ?? null;
    if (picture.image.colour || !from || !to || sameWindow(from, to)) return picture.bitmap;
    const state = `${picture.key}>${to.center},${to.width}`;
    if (this.prepared !== state) {
      this.#approximate(picture, approximation(from, to, picture.image.inverse, picture.image.exact));
      this.prepared = state;
    }
    return this.pixels;
  }

  /**
   * @param {Picture} picture
   * @param {Uint8ClampedArray} table
   */
  #approximate(picture, table) {
    const { width, height } = picture.bitmap;
    const context = /** @type {CanvasRenderingContext2D} */ (this.pixels.getContext("2d", { willReadFrequently: true }));
    if (this.sourceOf !== picture || !this.source) {
      this.pixels.width = width;
      this.pixels.height = height;
      context.drawImage(picture.bitmap, 0, 0);
      this.source = context.getImageData(0, 0, width, height);
      this.sourceOf = picture;
    }
    const before = new Uint32Array(this.source.data.buffer);
    const result = context.createImageData(width, height);
    const after = new Uint32Array(result.data.buffer);
    const grey = Uint32Array.from(table, (value) => 0xff000000 | (value << 16) | (value << 8) | value);
    for (let at = 0; at < before.length; at++) after[at] = /** @type {number} */ (grey[/** @type {number} */ (before[at]) & 255]);
    context.putImageData(result, 0, 0);
  }
}
