const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. Text always becomes text nodes: nothing of a data set is ever parsed as markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  assign(element, attributes);
  put(element, children);
  return element;
}

/**
 * Makes an SVG element.
 * @param {string} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(name, attributes = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, name));
  assign(element, attributes);
  put(element, children);
  return element;
}

/**
 * Replaces what an element holds.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 */
export function assign(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value === null || value === undefined || value === false) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function put(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Calls once things have been quiet for a while.
 * @template {unknown[]} A
 * @param {number} milliseconds
 * @param {(...values: A) => void} action
 * @returns {((...values: A) => void) & {cancel: () => void}}
 */
export function debounce(milliseconds, action) {
  let timer = 0;
  const later = (/** @type {A} */ ...values) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => action(...values), milliseconds);
  };
  return Object.assign(later, { cancel: () => clearTimeout(timer) });
}
