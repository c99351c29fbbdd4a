import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * A panel over the page: from below on a phone, in the middle else. Esc, a tap beside it and its button close it.
 * @param {string} title
 * @param {Node} content
 * @param {string} [kind] class
 * @returns {HTMLDialogElement}
 */
export function openSheet(title, content, kind = "") {
  const close = h("button", { type: "button", class: "round", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const dialog = h("dialog", { class: `sheet ${kind}`, "aria-label": title },
    h("div", { class: "sheet-head" }, h("h2", {}, title), close), h("div", { class: "sheet-body" }, content));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
