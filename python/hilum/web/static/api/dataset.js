/**
 * Reading DICOM JSON (PS3.18 F) as the server sends it. Values are never trusted to be of the form the standard asks for.
 */

/**
 * All values of an element as text; person names by their alphabetic group.
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {string[]}
 */
export function texts(dataset, tag) {
  const values = dataset?.[tag]?.Value;
  return Array.isArray(values) ? values.map(valueText) : [];
}

/**
 * First value as text, "" when absent.
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {string}
 */
export function text(dataset, tag) {
  return texts(dataset, tag)[0] ?? "";
}

/**
 * All values that are numbers (a DS may come as a string when it is not exact).
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {number[]}
 */
export function numbers(dataset, tag) {
  return texts(dataset, tag).filter((value) => value.trim() !== "").map(Number).filter(Number.isFinite);
}

/**
 * First numeric value.
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {number | undefined}
 */
export function number(dataset, tag) {
  return numbers(dataset, tag)[0];
}

/**
 * Items of a sequence.
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {Dataset[]}
 */
export function items(dataset, tag) {
  const element = dataset?.[tag];
  if (element?.vr !== "SQ" || !Array.isArray(element.Value)) return [];
  return /** @type {Dataset[]} */ (element.Value.filter((item) => typeof item === "object" && item !== null));
}

/**
 * @param {unknown} value
 * @returns {string}
 */
export function valueText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  const groups = /** @type {Record<string, unknown>} */ (value);
  const name = groups.Alphabetic ?? groups.Ideographic ?? groups.Phonetic;
  return typeof name === "string" ? name : "";
}

/**
 * "Family, Given Middle" of a person name; ideographic group in brackets when there is one.
 * @param {Dataset | undefined} dataset
 * @param {string} tag
 * @returns {string}
 */
export function personName(dataset, tag) {
  const value = dataset?.[tag]?.Value?.[0];
  if (typeof value === "string") return formatName(value);
  if (typeof value !== "object" || value === null) return "";
  const groups = /** @type {Record<string, unknown>} */ (value);
  const names = [groups.Alphabetic, groups.Ideographic].filter((group) => typeof group === "string" && group !== "");
  const [first, second] = names.map((group) => formatName(String(group)));
  return second ? `${first} (${second})` : (first ?? "");
}

/**
 * @param {string} group one component group: family^given^middle^prefix^suffix
 * @returns {string}
 */
export function formatName(group) {
  const [family = "", given = "", middle = "", prefix = "", suffix = ""] = group.split("^").map((part) => part.trim());
  const rest = [prefix, given, middle].filter(Boolean).join(" ");
  return [family, rest, suffix].filter(Boolean).join(", ");
}

/**
 * DA as 2024-01-31 (unambiguous everywhere); what is not a date is shown as it is.
 * @param {string} value
 * @returns {string}
 */
export function formatDate(value) {
  const match = /^(\d{4})[.-]?(\d{2})[.-]?(\d{2})/.exec(value);
  return match ? `${match[1]}-${match[2]}-${match[3]}` : value;
}

/**
 * TM as 14:05.
 * @param {string} value
 * @returns {string}
 */
export function formatTime(value) {
  const match = /^(\d{2}):?(\d{2})?/.exec(value);
  return match ? `${match[1]}:${match[2] ?? "00"}` : value;
}

/**
 * Age in years between two DA values, "" when either is missing.
 * @param {string} birth
 * @param {string} study
 * @returns {string}
 */
export function age(birth, study) {
  const from = /^(\d{4})(\d{2})(\d{2})$/.exec(birth);
  const to = /^(\d{4})(\d{2})(\d{2})$/.exec(study);
  if (!from || !to) return "";
  const years = Number(to[1]) - Number(from[1]) - (`${to[2]}${to[3]}` < `${from[2]}${from[3]}` ? 1 : 0);
  return years >= 0 && years < 130 ? `${years} y` : "";
}
