/** Periods that the study list offers. @type {readonly {id: string, label: string, days: number}[]} */
export const PERIODS = Object.freeze([
  { id: "any", label: "Any date", days: 0 },
  { id: "today", label: "Today", days: 1 },
  { id: "week", label: "7 days", days: 7 },
  { id: "month", label: "30 days", days: 30 },
  { id: "custom", label: "Custom", days: 0 },
]);

/** Modalities that the study list offers, each with the DICOM terms it stands for. @type {readonly {label: string, terms: string[]}[]} */
export const MODALITIES = Object.freeze([
  { label: "CT", terms: ["CT"] },
  { label: "MR", terms: ["MR"] },
  { label: "PET", terms: ["PT"] },
  { label: "NM", terms: ["NM"] },
  { label: "US", terms: ["US"] },
  { label: "X-ray", terms: ["CR", "DX"] },
  { label: "MG", terms: ["MG"] },
  { label: "XA", terms: ["XA", "RF"] },
  { label: "SM", terms: ["SM"] },
  { label: "OP", terms: ["OP", "OPT"] },
  { label: "RT", terms: ["RTSTRUCT", "RTPLAN", "RTDOSE", "RTIMAGE"] },
  { label: "SR", terms: ["SR"] },
]);

/**
 * @param {URLSearchParams} query
 * @returns {FilterState}
 */
export function readFilter(query) {
  const known = new Set(MODALITIES.map((modality) => modality.label));
  const period = query.get("date") ?? "any";
  const day = (/** @type {string} */ name) => (/^\d{4}-\d{2}-\d{2}$/.test(query.get(name) ?? "") ? (query.get(name) ?? "") : "");
  return {
    words: query.get("q") ?? "",
    modalities: (query.get("modality") ?? "").split(",").filter((label) => known.has(label)),
    period: PERIODS.some((one) => one.id === period) ? period : "any",
    from: day("from"),
    to: day("to"),
    oldestFirst: query.get("sort") === "oldest",
    page: Math.max(1, Math.floor(Number(query.get("page"))) || 1),
  };
}

/**
 * @param {FilterState} state
 * @returns {URLSearchParams}
 */
export function writeFilter(state) {
  const query = new URLSearchParams();
  if (state.words) query.set("q", state.words);
  if (state.modalities.length) query.set("modality", state.modalities.join(","));
  if (state.period !== "any") query.set("date", state.period);
  if (state.period === "custom" && state.from) query.set("from", state.from);
  if (state.period === "custom" && state.to) query.set("to", state.to);
  if (state.oldestFirst) query.set("sort", "oldest");
  if (state.page > 1) query.set("page", String(state.page));
  return query;
}

/**
 * @param {FilterState} state
 * @param {Date} now
 * @returns {StudyFilter}
 */
export function studyFilter(state, now) {
  const terms = state.modalities.flatMap((label) => MODALITIES.find((one) => one.label === label)?.terms ?? []);
  const [from, to] = periodDates(state, now);
  return { words: state.words, modalities: terms, from, to, oldestFirst: state.oldestFirst };
}

/**
 * @param {FilterState} state
 * @param {Date} now
 * @returns {[string, string]} DA values, "" for an open end
 */
function periodDates(state, now) {
  if (state.period === "custom") return [state.from.replaceAll("-", ""), state.to.replaceAll("-", "")];
  const days = PERIODS.find((period) => period.id === state.period)?.days ?? 0;
  if (days === 0) return ["", ""];
  const first = new Date(now.getFullYear(), now.getMonth(), now.getDate() - days + 1);
  return [dicomDate(first), days === 1 ? dicomDate(now) : ""];
}

/** @param {Date} date */
function dicomDate(date) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
}

/** @param {FilterState} state */
export function isFiltered(state) {
  return Boolean(state.words.trim() || state.modalities.length || state.period !== "any");
}
