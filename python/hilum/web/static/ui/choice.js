import { h } from "./dom.js";

/**
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} entries value and word
 * @param {(value: string) => void} chosen
 */
export function choice(label, entries, chosen) {
  const select = h("select", { "aria-label": label }, ...entries.map(([value, word]) => h("option", { value }, word)));
  select.addEventListener("change", () => chosen(select.value));
  return h("label", { class: "choice" }, h("span", {}, label), select);
}
