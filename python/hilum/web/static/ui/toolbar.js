import { assign, fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { openSheet } from "./sheet.js";

/** On a phone these are within reach of the thumb, the others behind "More". */
const NEAR = ["scroll", "window", "measure", "presets", "cine"];

/**
 * The actions as buttons. Wide screens show all of them, phones the nearest and a menu.
 */
export class Toolbar {
  /**
   * @param {Action[]} actions
   * @param {() => void} openSeries
   */
  constructor(actions, openSeries) {
    this.actions = actions;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map(actions.map((action) => [action.id, button(action)]));
    const series = h("button", { type: "button", class: "tool only-narrow", title: "Series", onclick: openSeries }, icon("series"), h("span", {}, "Series"));
    const more = h("button", { type: "button", class: "tool only-narrow", title: "More", "aria-haspopup": "dialog", onclick: () => this.#more() },
      icon("more"), h("span", {}, "More"));
    const groups = ["tool", "view", "object"].map((name) =>
      h("div", { class: `tools ${name}-group`, role: "group" }, ...actions.filter((one) => one.group === name).map((one) => this.buttons.get(one.id) ?? null)));
    const row = h("div", { role: "toolbar", "aria-label": "Tools" }, series, ...groups, more);
    this.element = h("section", { class: "toolbar", "aria-label": "Tools" }, row);
    for (const id of NEAR) this.buttons.get(id)?.classList.add("near");
    this.element.addEventListener("keydown", (event) => this.#arrows(event));
  }

  /** Shows what is on and what can be done now. */
  update() {
    for (const action of this.actions) {
      const element = this.buttons.get(action.id);
      if (element) reflect(element, action);
    }
  }

  #more() {
    const grid = h("div", { class: "action-grid" });
    const rest = this.actions.filter((action) => !NEAR.includes(action.id));
    const sheet = openSheet("More", grid, "narrow");
    fill(grid, ...rest.map((action) => {
      const element = h("button", { type: "button", class: "tool" }, icon(action.icon), h("span", {}, action.label));
      assign(element, { disabled: !action.enabled(), "aria-pressed": action.active() ? "true" : null });
      element.addEventListener("click", () => {
        sheet.close();
        action.run();
        this.update();
      });
      return element;
    }));
  }

  /** @param {KeyboardEvent} event */
  #arrows(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const list = /** @type {HTMLButtonElement[]} */ ([...this.element.querySelectorAll("button:not(:disabled)")]).filter((one) => one.offsetParent);
    const at = list.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    list[(at + (event.key === "ArrowRight" ? 1 : list.length - 1)) % list.length]?.focus();
  }
}

/** @param {Action} action */
function button(action) {
  const element = h("button", { type: "button", class: "tool", "data-action": action.id }, icon(action.icon), h("span", {}, action.short));
  element.addEventListener("click", () => action.run());
  return element;
}

/**
 * @param {HTMLButtonElement} element
 * @param {Action} action
 */
function reflect(element, action) {
  const active = action.active();
  const playing = action.id === "cine" && active;
  const label = playing ? "Pause" : action.label;
  const pressable = action.group === "tool" || ["invert", "tags", "cine"].includes(action.id);
  assign(element, {
    disabled: !action.enabled(), "aria-pressed": pressable ? (active ? "true" : "false") : null,
    title: action.keyName ? `${label} (${action.keyName})` : label,
  });
  if (action.id === "cine" && element.dataset.playing !== String(playing)) {
    element.dataset.playing = String(playing);
    fill(element, icon(playing ? "pause" : "play"), h("span", {}, label));
  }
}
