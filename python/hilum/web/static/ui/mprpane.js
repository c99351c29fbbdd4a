import { add, times, unit } from "../render/space.js";
import { Gestures } from "../tools/gestures.js";
import { fill, svg } from "./dom.js";
import { VolumePane } from "./volumepane.js";

const HANDLE_AT = 0.38;
/** Pixels that a finger may move before it moves the cross: a second one may follow. */
const SLACK = 8;

/** @typedef {import("./volume.js").VolumePage} VolumePage */
/** @typedef {import("../render/space.js").View} View */

/**
 * A plane through the volume with the lines of the two others: a drag moves the cross, the wheel leafs, the ends of the lines turn the others; two fingers,
 * the middle button or shift move and enlarge the image.
 */
export class MprPane {
  /**
   * @param {VolumePage} page
   * @param {string} name
   * @param {string} colour of its plane's line in the others
   * @param {View} view
   */
  constructor(page, name, colour, view) {
    this.page = page;
    this.name = name;
    this.colour = colour;
    this.view = view;
    this.pane = new VolumePane(name, (size, coarse) => page.planeAddress(this.view, size, coarse), (words) => page.fail(words));
    this.element = this.pane.element;
    this.lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    this.element.append(this.lines);
    this.element.style.setProperty("--plane", colour);
    /** @type {MprPane | null} whose plane is being turned */
    this.turning = null;
    this.angle = 0;
    new Gestures(this.element, {
      begin: (drag) => this.#begin(drag), move: (drag) => this.#drag(drag), end: (drag) => this.#end(drag),
      wheel: (steps) => this.leaf(steps), doubleTap: () => page.enlarge(this.element),
      zoom: (factor, at) => page.zoomBy(this, factor, at, 0, 0), pinch: (factor, at, dx, dy) => page.zoomBy(this, factor, at, dx, dy),
    });
    this.lines.addEventListener("pointerdown", (event) => {
      const handle = event.target instanceof Element ? event.target.closest("[data-turns]") : null;
      this.turning = page.planes.find((one) => one.name === handle?.getAttribute("data-turns")) ?? null;
    }, { capture: true });
  }

  /** @returns {import("../render/space.js").Frame} */
  get frame() {
    return this.page.frameOf(this.view, this.pane.size);
  }

  /** @param {number} steps of a voxel */
  leaf(steps) {
    this.page.moveTo(add(this.page.point, times(unit(this.view.look), steps * this.page.step)));
  }

  /** Lines and letters for how things are. */
  draw() {
    const { frame } = this;
    const { width, height } = frame.size;
    this.lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const cross = frame.pixel(this.page.point);
    const reach = Math.hypot(width, height);
    const arm = Math.min(width, height) * HANDLE_AT;
    fill(this.lines, ...this.page.planes.flatMap((other) => {
      const line = other === this ? null : frame.lineOf(other.view.look);
      if (!line) return [];
      const at = (/** @type {number} */ along) => ({ x: cross.x + line.x * along, y: cross.y + line.y * along });
      const stroke = (/** @type {number} */ from, /** @type {number} */ to) => {
        const [a, b] = [at(from), at(to)];
        return svg("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, stroke: other.colour });
      };
      const dots = [-arm, arm].map((along) => svg("circle", { cx: at(along).x, cy: at(along).y, r: 6, fill: other.colour, "data-turns": other.name }));
      return [stroke(-reach, -14), stroke(14, reach), ...dots];
    }));
    this.pane.annotate(frame, this.page.wordsOf(this.view));
  }

  /** @param {Drag} drag */
  #begin(drag) {
    this.angle = this.#angleOf(drag.now);
    if (!drag.touch && !this.turning && !this.#moves(drag) && this.#tool(drag) === "cross") this.page.moveTo(this.frame.point(drag.now));
  }

  /** @param {Drag} drag */
  #drag(drag) {
    if (this.turning) {
      const now = this.#angleOf(drag.now);
      this.page.turn(this, now - this.angle);
      this.angle = now;
    } else if (this.#moves(drag)) {
      this.page.zoomBy(this, 1, drag.now, drag.now.x - drag.last.x, drag.now.y - drag.last.y);
    } else if (this.#tool(drag) === "cross") {
      if (!drag.touch || Math.hypot(drag.now.x - drag.start.x, drag.now.y - drag.start.y) > SLACK) this.page.moveTo(this.frame.point(drag.now));
    } else {
      this.page.dragWindow(drag.now.x - drag.last.x, drag.now.y - drag.last.y);
    }
  }

  /** @param {Drag} drag */
  #end(drag) {
    if (drag.touch && !drag.interrupted && !this.turning && this.#tool(drag) === "cross") this.page.moveTo(this.frame.point(drag.now));
    this.turning = null;
  }

  /** @param {Drag} drag */
  #moves(drag) {
    return drag.button === 1 || drag.shift;
  }

  /** @param {Drag} drag */
  #tool(drag) {
    return drag.button === 2 ? "window" : this.page.tool;
  }

  /** @param {Point} point */
  #angleOf(point) {
    const cross = this.frame.pixel(this.page.point);
    return Math.atan2(point.y - cross.y, point.x - cross.x);
  }
}
