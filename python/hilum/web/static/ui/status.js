import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

const PATIENCE = 160;

/**
 * What the stage is waiting for, or what went wrong and how to try again.
 */
export class Status {
  constructor() {
    this.box = h("div", { class: "status-box", role: "status", "aria-live": "polite" });
    this.toast = h("div", { class: "toast", role: "status", "aria-live": "polite" });
    this.element = h("div", { class: "status" }, this.box, this.toast);
    this.timer = 0;
    this.toastTimer = 0;
  }

  /** @param {string} words "" shows only that something is on its way */
  loading(words) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.element.dataset.state = words ? "loading" : "updating";
      fill(this.box, h("span", { class: "spinner" }), words ? h("p", {}, words) : null);
    }, PATIENCE);
  }

  /**
   * @param {string} words
   * @param {() => void} retry
   */
  failed(words, retry) {
    clearTimeout(this.timer);
    this.element.dataset.state = "failed";
    const button = h("button", { type: "button", class: "action", onclick: () => { this.clear(); retry(); } }, "Try again");
    fill(this.box, icon("warning"), h("p", {}, words), button);
  }

  clear() {
    clearTimeout(this.timer);
    delete this.element.dataset.state;
    fill(this.box);
  }

  /** @param {string} words gone after a moment */
  flash(words) {
    clearTimeout(this.toastTimer);
    fill(this.toast, words);
    this.toastTimer = window.setTimeout(() => fill(this.toast), 2500);
  }
}
