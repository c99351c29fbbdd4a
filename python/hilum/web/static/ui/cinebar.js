import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * Speed of the cine loop; there while it plays and for objects that are meant to move.
 */
export class CineBar {
  /** @param {Cine} cine */
  constructor(cine) {
    this.cine = cine;
    this.offered = false;
    this.play = h("button", { type: "button", class: "round", onclick: () => cine.toggle() });
    this.rate = h("input", { type: "range", min: "1", max: "60", step: "1", "aria-label": "Images per second" });
    this.words = h("output", {});
    this.element = h("div", { class: "cine", hidden: true }, this.play, this.rate, this.words);
    this.rate.addEventListener("input", () => cine.setRate(Number(this.rate.value)));
    cine.addEventListener("change", () => this.update());
  }

  /** @param {boolean} offered shown although it does not play */
  offer(offered) {
    this.offered = offered;
    this.update();
  }

  update() {
    const { cine } = this;
    this.element.hidden = !cine.playing && !this.offered;
    this.rate.value = String(cine.rate);
    fill(this.words, `${cine.rate} fps`);
    fill(this.play, icon(cine.playing ? "pause" : "play"));
    this.play.setAttribute("aria-label", cine.playing ? "Pause" : "Play");
  }
}
