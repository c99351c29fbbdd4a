const PIXELS_PER_STEP = 40;

/**
 * Turns pointer, touch and wheel events on an element into gestures.
 */
export class Gestures {
  /**
   * @param {HTMLElement} element
   * @param {GestureHandler} handler
   */
  constructor(element, handler) {
    this.element = element;
    this.handler = handler;
    /** @type {Map<number, Point>} */
    this.pointers = new Map();
    /** @type {Drag | null} */
    this.drag = null;
    this.wheelRest = 0;
    this.lastTap = { time: 0, x: 0, y: 0 };
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#up(event));
    element.addEventListener("pointercancel", (event) => this.#up(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** @param {PointerEvent | WheelEvent} event */
  #point(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (!(event.target instanceof Element) || event.target.closest("button, input, a, .handle")) return;
    this.element.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.pointers.set(event.pointerId, point);
    if (this.pointers.size === 1) {
      const touch = event.pointerType === "touch";
      this.drag = { start: point, now: point, last: point, button: event.button, shift: event.shiftKey, touch, interrupted: false };
      this.handler.begin(this.drag);
    } else if (this.drag) {
      this.drag.interrupted = true;
      this.handler.end(this.drag);
      this.drag = null;
    }
    if (event.pointerType === "mouse" && event.button === 1) event.preventDefault();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const point = this.#point(event);
    if (this.pointers.size >= 2) {
      const [first, second] = [...this.pointers.values()];
      this.pointers.set(event.pointerId, point);
      const [firstNow, secondNow] = [...this.pointers.values()];
      if (first && second && firstNow && secondNow) this.#pinch([first, second], [firstNow, secondNow]);
      return;
    }
    this.pointers.set(event.pointerId, point);
    if (!this.drag) return;
    this.drag.last = this.drag.now;
    this.drag.now = point;
    this.handler.move(this.drag);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.pointers.delete(event.pointerId) || !this.drag) return;
    const { drag } = this;
    this.drag = null;
    this.handler.end(drag);
    const still = Math.hypot(drag.now.x - drag.start.x, drag.now.y - drag.start.y) < 8;
    if (still && drag.button === 0 && event.type === "pointerup") this.#tap(drag, event.timeStamp);
  }

  /**
   * @param {Drag} drag
   * @param {number} time
   */
  #tap(drag, time) {
    const { x, y } = drag.now;
    const again = time - this.lastTap.time < 350 && Math.hypot(x - this.lastTap.x, y - this.lastTap.y) < 30;
    this.lastTap = { time: again ? 0 : time, x, y };
    if (again) this.handler.doubleTap(drag.now);
  }

  /**
   * @param {[Point, Point]} before
   * @param {[Point, Point]} after
   */
  #pinch(before, after) {
    const length = (/** @type {[Point, Point]} */ pair) => Math.hypot(pair[0].x - pair[1].x, pair[0].y - pair[1].y);
    const middle = (/** @type {[Point, Point]} */ pair) => ({ x: (pair[0].x + pair[1].x) / 2, y: (pair[0].y + pair[1].y) / 2 });
    const from = middle(before);
    const to = middle(after);
    this.handler.pinch(length(after) / Math.max(1, length(before)), to, to.x - from.x, to.y - from.y);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? PIXELS_PER_STEP : 400;
    const delta = (event.deltaY || event.deltaX) * unit;
    if (event.ctrlKey || event.metaKey) {
      this.handler.zoom(Math.exp(-delta * 0.0025), this.#point(event));
      return;
    }
    const notch = Math.abs(delta) >= 100 && Math.abs(event.deltaY) === Math.abs(Math.round(event.deltaY));
    if (notch) {
      this.wheelRest = 0;
      this.handler.wheel(Math.sign(delta) * Math.max(1, Math.round(Math.abs(delta) / 120)));
      return;
    }
    this.wheelRest += delta / PIXELS_PER_STEP;
    const steps = Math.trunc(this.wheelRest);
    this.wheelRest -= steps;
    if (steps) this.handler.wheel(steps);
  }
}
