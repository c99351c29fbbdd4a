export const DEFAULT_RATE = 15;

/**
 * Plays a stack in a loop. An image is shown when it is there: on a slow line the loop slows down, it never skips or shows a blank.
 * Event: "change".
 */
export class Cine extends EventTarget {
  /** @param {Stage} stage */
  constructor(stage) {
    super();
    this.stage = stage;
    this.rate = DEFAULT_RATE;
    this.playing = false;
    this.next = 0;
    this.request = 0;
  }

  toggle() {
    if (this.playing) this.stop();
    else this.start();
  }

  start() {
    if (this.playing || (this.stage.stack?.length ?? 0) < 2) return;
    this.playing = true;
    this.next = performance.now();
    this.#schedule();
    this.dispatchEvent(new Event("change"));
  }

  stop() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.request);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} rate images per second */
  setRate(rate) {
    this.rate = Math.min(60, Math.max(1, rate));
    this.dispatchEvent(new Event("change"));
  }

  #schedule() {
    this.request = requestAnimationFrame((now) => {
      if (!this.playing) return;
      this.#tick(now);
      this.#schedule();
    });
  }

  /** @param {number} now */
  #tick(now) {
    const { stage } = this;
    if (!stage.stack || stage.state === "failed") {
      this.stop();
      return;
    }
    if (now < this.next || stage.state === "loading") return;
    const period = 1000 / this.rate;
    this.next = Math.max(this.next + period, now - period);
    stage.go((stage.index + 1) % stage.stack.length);
  }
}
