import { age, formatDate, formatTime, number, personName, text, texts } from "../api/dataset.js";
import { isAbort, wordsOf } from "../api/errors.js";
import { StudySearch } from "../api/studies.js";
import { Tag } from "../api/tag.js";
import { debounce, fill, h } from "./dom.js";
import { isFiltered, MODALITIES, PERIODS, readFilter, studyFilter, writeFilter } from "./filter.js";
import { icon } from "./icons.js";
import { listHash, viewerHash } from "./route.js";

const PAGE = 50;
const TYPING_PAUSE = 180;
/** A list that is older is asked for again, in the background. */
const STALE = 30000;

/**
 * The study list: search as you type, filters, pages.
 */
export class StudyList {
  /**
   * @param {DicomWeb} client
   * @param {Navigate} navigate
   */
  constructor(client, navigate) {
    this.client = client;
    this.navigate = navigate;
    this.state = readFilter(new URLSearchParams());
    /** @type {StudySearch | null} */
    this.search = null;
    this.searchKey = "";
    this.controller = new AbortController();
    /** @type {StudySlice | null} */
    this.slice = null;
    this.loadedAt = 0;
    this.lastOpened = "";
    this.input = h("input", {
      type: "search", id: "search", placeholder: "Patient name, ID, accession or description", autocomplete: "off", spellcheck: "false",
      "aria-label": "Search studies", "aria-keyshortcuts": "/", enterkeyhint: "search",
    });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Modality" });
    this.periods = h("div", { class: "segments", role: "group", "aria-label": "Study date" });
    this.from = h("input", { type: "date", "aria-label": "From" });
    this.to = h("input", { type: "date", "aria-label": "To" });
    this.custom = h("div", { class: "custom", hidden: true }, this.from, h("span", { "aria-hidden": "true" }, "\u2013"), this.to);
    this.count = h("p", { class: "count", role: "status", "aria-live": "polite" });
    this.sort = h("button", { class: "quiet", type: "button" });
    this.rows = h("ol", { class: "rows", "aria-label": "Studies", "aria-busy": "true" });
    this.pager = h("nav", { class: "pager", "aria-label": "Pages" });
    this.element = this.#build();
    this.#listen();
  }

  /** @param {URLSearchParams} query */
  show(query) {
    const state = readFilter(query);
    const same = writeFilter(state).toString() === writeFilter(this.state).toString() && this.slice !== null;
    this.state = state;
    this.#reflect();
    if (!same || Date.now() - this.loadedAt > STALE) void this.load();
    document.title = "Studies \u2013 hilum";
    this.#focusOpened();
  }

  /** Asks the server for the page that the state names. */
  async load() {
    this.controller.abort();
    const { signal } = (this.controller = new AbortController());
    this.rows.setAttribute("aria-busy", "true");
    if (!this.slice) this.#skeleton();
    const busy = window.setTimeout(() => this.element.classList.add("busy"), 120);
    try {
      const search = this.#search();
      const slice = await search.slice((this.state.page - 1) * PAGE, PAGE, signal);
      if (signal.aborted) return;
      const news = JSON.stringify(slice) !== JSON.stringify(this.slice);
      this.slice = slice;
      this.loadedAt = Date.now();
      if (news) this.#render(slice);
      if (!this.element.hidden) this.#focusOpened();
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      this.slice = null;
      this.search = null;
      this.#failed(wordsOf(error));
    } finally {
      clearTimeout(busy);
      if (!signal.aborted) {
        this.element.classList.remove("busy");
        this.rows.removeAttribute("aria-busy");
      }
    }
  }

  #search() {
    const key = writeFilter({ ...this.state, page: 1 }).toString();
    if (!this.search || this.searchKey !== key || this.state.page === 1) {
      this.search = new StudySearch(this.client, studyFilter(this.state, new Date()));
      this.searchKey = key;
    }
    return this.search;
  }

  #build() {
    const columns = ["Patient", "Born", "Study date", "Modality", "Description", "Accession", "Images"];
    return h("div", { class: "list" },
      h("header", { class: "top" },
        h("h1", {}, h("a", { class: "brand", href: "#/", title: "All studies" }, "hilum")),
        h("div", { class: "search" }, icon("search"), this.input),
        h("p", { class: "note" }, "Not for diagnosis")),
      h("search", { class: "filters", role: "search", "aria-label": "Filters" }, this.chips, this.periods, this.custom),
      h("main", { class: "results" },
        h("div", { class: "line" }, this.count, this.sort),
        h("div", { class: "scroller" }, h("div", { class: "head", "aria-hidden": "true" }, ...columns.map((name) => h("span", {}, name))), this.rows),
        this.pager));
  }

  #listen() {
    const typed = debounce(TYPING_PAUSE, () => this.#change({ words: this.input.value }, true));
    this.input.addEventListener("input", typed);
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") this.#focusRow(0, event);
      if (event.key === "Enter") { typed.cancel(); this.#change({ words: this.input.value }, true); }
    });
    for (const input of [this.from, this.to]) {
      input.addEventListener("change", () => this.#change({ from: this.from.value, to: this.to.value }, false));
    }
    this.sort.addEventListener("click", () => this.#change({ oldestFirst: !this.state.oldestFirst }, false));
    this.rows.addEventListener("keydown", (event) => this.#rowKeys(event));
    document.addEventListener("keydown", (event) => this.#keys(event));
    setInterval(() => this.#refresh(), STALE / 3);
  }

  /**
   * @param {Partial<FilterState>} part
   * @param {boolean} replace rather than a new entry of the history
   */
  #change(part, replace) {
    const next = { ...this.state, page: 1, ...part };
    if (writeFilter(next).toString() === writeFilter(this.state).toString()) return;
    this.navigate(listHash(writeFilter(next)), replace);
  }

  /** Puts the state into the controls. */
  #reflect() {
    const { state } = this;
    if (document.activeElement !== this.input || this.input.value.trim() !== state.words.trim()) this.input.value = state.words;
    fill(this.chips, ...MODALITIES.map((modality) => {
      const on = state.modalities.includes(modality.label);
      const next = on ? state.modalities.filter((label) => label !== modality.label) : [...state.modalities, modality.label];
      return toggle(modality.label, on, () => this.#change({ modalities: next }, false));
    }));
    fill(this.periods, ...PERIODS.map((period) =>
      toggle(period.label, period.id === state.period, () => this.#change({ period: period.id }, false))));
    this.custom.hidden = state.period !== "custom";
    this.from.value = state.from;
    this.to.value = state.to;
    fill(this.sort, state.oldestFirst ? "Oldest first" : "Newest first");
    this.sort.setAttribute("aria-label", `${state.oldestFirst ? "Oldest" : "Newest"} first, change the order`);
  }

  /** @param {StudySlice} slice */
  #render(slice) {
    if (slice.studies.length === 0) {
      this.#empty();
      return;
    }
    fill(this.rows, ...slice.studies.map((study) => row(study)));
    const first = (this.state.page - 1) * PAGE + 1;
    const last = first + slice.studies.length - 1;
    const known = slice.total ?? (slice.more ? null : last);
    const total = known === null ? " of many" : ` of ${known.toLocaleString("en")}`;
    const failed = slice.failed ? " Some attributes could not be searched: there may be more." : "";
    fill(this.count, known !== null && known <= PAGE && first === 1
      ? `${known} ${known === 1 ? "study" : "studies"}.${failed}` : `Studies ${first.toLocaleString("en")}\u2013${last.toLocaleString("en")}${total}.${failed}`);
    this.#renderPager(slice);
    this.rows.parentElement?.scrollTo(0, 0);
  }

  /** @param {StudySlice} slice */
  #renderPager(slice) {
    const { page } = this.state;
    const pages = slice.total === null ? null : Math.max(1, Math.ceil(slice.total / PAGE));
    const go = (/** @type {number} */ to) => () => this.#change({ page: to }, false);
    const button = (/** @type {string} */ label, /** @type {string} */ name, /** @type {number} */ to, /** @type {boolean} */ on) =>
      h("button", { type: "button", class: "round", "aria-label": label, title: label, disabled: !on, onclick: go(to) }, icon(name));
    this.pager.hidden = page === 1 && !slice.more;
    const words = pages === null ? `Page ${page.toLocaleString("en")}` : `Page ${page.toLocaleString("en")} of ${pages.toLocaleString("en")}`;
    fill(this.pager, button("Previous page", "previous", page - 1, page > 1), h("span", {}, words),
      button("Next page", "next", page + 1, slice.more));
  }

  #empty() {
    const filtered = isFiltered(this.state);
    const advice = filtered
      ? h("button", { type: "button", class: "action", onclick: () => this.#clear() }, "Clear search and filters")
      : h("p", {}, "Bring some in with ", h("code", {}, "hilum import FOLDER"), ", or send them over DICOM.");
    fill(this.rows, h("li", { class: "message" }, h("h2", {}, filtered ? "No study matches" : "No studies yet"), advice));
    fill(this.count, "0 studies.");
    this.pager.hidden = this.state.page === 1;
    if (!this.pager.hidden) this.#renderPager({ studies: [], total: null, more: false, failed: 0 });
  }

  #clear() {
    this.input.value = "";
    this.navigate(listHash(new URLSearchParams()), false);
    this.input.focus();
  }

  /** @param {string} words */
  #failed(words) {
    const retry = h("button", { type: "button", class: "action", onclick: () => void this.load() }, "Try again");
    fill(this.rows, h("li", { class: "message", role: "alert" }, icon("warning"), h("h2", {}, "The studies could not be loaded"), h("p", {}, words), retry));
    fill(this.count);
    this.pager.hidden = true;
  }

  #skeleton() {
    const bones = () => h("li", { class: "bones", "aria-hidden": "true" }, ...Array.from({ length: 7 }, () => h("span", {})));
    fill(this.rows, ...Array.from({ length: 12 }, bones));
    fill(this.count, "Loading studies\u2026");
    this.pager.hidden = true;
  }

  /** New studies appear by themselves, unless the user is at work in the list. */
  #refresh() {
    const idle = !this.element.hidden && !document.hidden && this.state.page === 1 && !this.rows.contains(document.activeElement);
    const top = (this.rows.parentElement?.scrollTop ?? 0) === 0;
    if (idle && top && Date.now() - this.loadedAt > STALE) void this.load();
  }

  /** @param {KeyboardEvent} event */
  #keys(event) {
    if (event.key === "/" && !this.element.hidden && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      this.input.focus();
      this.input.select();
    }
  }

  /** @param {KeyboardEvent} event */
  #rowKeys(event) {
    const links = this.#links();
    const at = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, j: at + 1, k: at - 1, Home: 0, End: links.length - 1 };
    const to = moves[event.key];
    if (to === -1) {
      event.preventDefault();
      this.input.focus();
    } else if (to !== undefined) {
      this.#focusRow(to, event);
    } else if (event.key === "PageDown" && this.slice?.more) {
      this.#change({ page: this.state.page + 1 }, false);
    } else if (event.key === "PageUp" && this.state.page > 1) {
      this.#change({ page: this.state.page - 1 }, false);
    }
  }

  #links() {
    return /** @type {HTMLAnchorElement[]} */ ([...this.rows.querySelectorAll("a.row")]);
  }

  /**
   * @param {number} at
   * @param {KeyboardEvent} event
   */
  #focusRow(at, event) {
    const link = this.#links()[at];
    if (!link) return;
    event.preventDefault();
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  /** After coming back from a study its row has the focus. */
  #focusOpened() {
    if (!this.lastOpened || document.activeElement === this.input) return;
    const link = this.#links().find((one) => one.dataset.study === this.lastOpened);
    if (!link) return;
    link.focus({ preventScroll: true });
    link.scrollIntoView({ block: "nearest" });
    if (!this.element.classList.contains("busy")) this.lastOpened = "";
  }
}

/**
 * @param {string} label
 * @param {boolean} on
 * @param {() => void} action
 */
function toggle(label, on, action) {
  return h("button", { type: "button", class: "chip", "aria-pressed": on ? "true" : "false", onclick: action }, label);
}

/** @param {Dataset} study */
function row(study) {
  const uid = text(study, Tag.StudyInstanceUID);
  const name = personName(study, Tag.PatientName);
  const date = text(study, Tag.StudyDate);
  const birth = text(study, Tag.PatientBirthDate);
  const modalities = texts(study, Tag.ModalitiesInStudy).filter(Boolean);
  const series = number(study, Tag.NumberOfStudyRelatedSeries);
  const images = number(study, Tag.NumberOfStudyRelatedInstances);
  const person = [formatDate(birth), age(birth, date), text(study, Tag.PatientSex)].filter(Boolean).join(" \u00b7 ");
  return h("li", {}, h("a", { class: "row", href: viewerHash(uid), "data-study": uid },
    h("span", { class: "patient" }, h("b", { class: name ? "" : "none" }, name || "No name"), h("small", {}, text(study, Tag.PatientID) || "no ID")),
    h("span", { class: "person" }, person),
    h("span", { class: "when" }, date ? formatDate(date) : "no date", " ", h("small", {}, formatTime(text(study, Tag.StudyTime)))),
    h("span", { class: "modalities" }, ...modalities.slice(0, 4).map(modalityBadge), modalities.length > 4 ? h("small", {}, `+${modalities.length - 4}`) : null),
    h("span", { class: "what" }, text(study, Tag.StudyDescription)),
    h("span", { class: "accession" }, text(study, Tag.AccessionNumber)),
    h("span", { class: "size" }, images === undefined ? "" : h("span", {}, images.toLocaleString("en"), h("small", { class: "unit" }, images === 1 ? " image" : " images")),
      series === undefined ? "" : h("small", {}, ` in ${series.toLocaleString("en")} series`))));
}

/** @param {string} modality */
export function modalityBadge(modality) {
  return h("span", { class: "badge", "data-modality": modality }, modality);
}
