import { h } from "./dom.js";
import { icon } from "./icons.js";

const TICK = 100;

/**
 * Which time point of a 4D volume is shown (the server's parameter "timepoint"), by a slider or as a cine.
 */
export class TimeChoice {
  /**
   * @param {() => void} changed
   * @param {() => boolean} busy whether an image is still awaited
   */
  constructor(changed, busy) {
    this.changed = changed;
    this.busy = busy;
    this.count = 1;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    this.slider = h("input", { type: "range", min: "1", max: "1", value: "1", "aria-label": "Time point" });
    this.slider.addEventListener("input", () => this.#show(Number(this.slider.value)));
    this.output = h("output", {}, "");
    this.button = h("button", { type: "button", class: "round", onclick: () => (this.timer ? this.pause() : this.play()) });
    this.pause();
  }

  /**
   * @param {string} study
   * @param {string} series
   * @returns {Promise<Element[]>} the controls; none where nothing changes over time
   */
  async controls(study, series) {
    const answer = await fetch(new URL(`volumes/studies/${study}/series/${series}`, document.baseURI));
    if (!answer.ok) return [];
    const { volumes } = /** @type {{volumes: {times: unknown[]}[]}} */ (await answer.json());
    this.count = Math.max(1, volumes[0]?.times.length ?? 1);
    if (this.count === 1) return [];
    this.slider.max = String(this.count);
    this.output.textContent = `1 / ${this.count}`;
    return [h("div", { class: "choice time-choice" }, h("span", {}, "Time"), this.button, this.slider, this.output)];
  }

  /** @param {URLSearchParams} query of an image */
  apply(query) {
    if (this.count > 1) query.set("timepoint", this.slider.value);
  }

  play() {
    this.#face("pause", "Stop");
    this.timer = setInterval(() => {
      if (!this.busy()) this.#show((Number(this.slider.value) % this.count) + 1);
    }, TICK);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.#face("play", "Play through time");
  }

  /** @param {number} time */
  #show(time) {
    this.slider.value = String(time);
    this.output.textContent = `${time} / ${this.count}`;
    this.changed();
  }

  /**
   * @param {string} picture
   * @param {string} words
   */
  #face(picture, words) {
    this.button.replaceChildren(icon(picture));
    this.button.title = words;
    this.button.setAttribute("aria-label", words);
  }
}
