import { svg } from "../ui/dom.js";

/**
 * Length lines, drawn over the image, kept per image as long as the page is open.
 * Event: "change".
 */
export class Measure extends EventTarget {
  /** @param {Stage} stage */
  constructor(stage) {
    super();
    this.stage = stage;
    this.layer = svg("svg", { class: "measures", "aria-hidden": "true" });
    /** @type {Map<StackImage, Line[]>} */
    this.lines = new Map();
    /** @type {{line: Line, end: "from" | "to"} | null} */
    this.moving = null;
    stage.canvas.after(this.layer);
    stage.canvas.addEventListener("drawn", () => this.draw());
    this.layer.addEventListener("pointerdown", (event) => this.#grab(/** @type {PointerEvent} */ (event)));
    this.layer.addEventListener("pointermove", (event) => this.#pull(/** @type {PointerEvent} */ (event)));
    for (const name of ["pointerup", "pointercancel"]) this.layer.addEventListener(name, () => this.#drop());
  }

  /** Lines on the image that is shown. */
  get current() {
    const image = this.stage.picture?.image;
    return image ? (this.lines.get(image) ?? []) : [];
  }

  /** @param {Point} point on the screen */
  begin(point) {
    const image = this.stage.picture?.image;
    if (!image) return;
    const at = this.#inside(point);
    const line = { from: at, to: { ...at } };
    this.lines.set(image, [...this.current, line]);
    this.moving = { line, end: "to" };
  }

  /** @param {Point} point on the screen */
  move(point) {
    if (!this.moving) return;
    this.moving.line[this.moving.end] = this.#inside(point);
    this.draw();
  }

  end() {
    const image = this.stage.picture?.image;
    if (image && this.moving) {
      const long = (/** @type {Line} */ line) => Math.hypot(line.to.x - line.from.x, line.to.y - line.from.y) * this.stage.viewport.scale > 6;
      this.lines.set(image, this.current.filter(long));
    }
    this.moving = null;
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  /** Takes away the newest line of the image. */
  removeLast() {
    const image = this.stage.picture?.image;
    if (!image) return;
    this.lines.set(image, this.current.slice(0, -1));
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  draw() {
    const parts = this.current.flatMap((line) => this.#drawLine(line));
    this.layer.replaceChildren(...parts);
  }

  /**
   * Length in words.
   * @param {Line} line
   * @returns {string}
   */
  lengthOf(line) {
    const image = this.stage.picture?.image;
    if (!image) return "";
    const spacing = image.spacingAt((line.from.x + line.to.x) / 2, (line.from.y + line.to.y) / 2);
    const length = Math.hypot((line.to.x - line.from.x) * spacing.column, (line.to.y - line.from.y) * spacing.row);
    const note = spacing.unit === "mm" && spacing.note ? ` (${spacing.note})` : "";
    return `${length.toFixed(spacing.unit === "mm" ? 1 : 0)} ${spacing.unit}${note}`;
  }

  /**
   * @param {Line} line
   * @returns {SVGElement[]}
   */
  #drawLine(line) {
    const { viewport } = this.stage;
    const a = viewport.toScreen(line.from);
    const b = viewport.toScreen(line.to);
    const index = this.current.indexOf(line);
    const handle = (/** @type {Point} */ point, /** @type {string} */ end) =>
      svg("circle", { class: "handle", cx: point.x, cy: point.y, r: 12, "data-line": index, "data-end": end });
    const lower = a.y > b.y ? a : b;
    const label = svg("text", { x: Math.min(lower.x + 10, viewport.width - 110), y: Math.min(lower.y + 20, viewport.height - 8) }, this.lengthOf(line));
    const ends = { x1: a.x, y1: a.y, x2: b.x, y2: b.y };
    return [svg("line", { class: "shade", ...ends }), svg("line", ends), ...[a, b].map((p) => svg("circle", { class: "end", cx: p.x, cy: p.y, r: 3 })),
      handle(a, "from"), handle(b, "to"), label];
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    const target = event.target;
    if (!(target instanceof SVGElement) || !target.dataset.end) return;
    const line = this.current[Number(target.dataset.line)];
    if (!line) return;
    event.stopPropagation();
    this.layer.setPointerCapture(event.pointerId);
    this.moving = { line, end: target.dataset.end === "from" ? "from" : "to" };
  }

  /** @param {PointerEvent} event */
  #pull(event) {
    if (!this.moving || !this.layer.hasPointerCapture(event.pointerId)) return;
    const box = this.layer.getBoundingClientRect();
    this.move({ x: event.clientX - box.left, y: event.clientY - box.top });
  }

  #drop() {
    if (this.moving) this.end();
  }

  /** @param {Point} point */
  #inside(point) {
    const image = this.stage.picture?.image;
    const { x, y } = this.stage.viewport.toImage(point);
    return { x: Math.min(image?.columns ?? x, Math.max(0, x)), y: Math.min(image?.rows ?? y, Math.max(0, y)) };
  }
}
