import { text } from "./dataset.js";
import { Tag } from "./tag.js";

const INCLUDE = [Tag.StudyDescription, Tag.InstitutionName, Tag.PatientBirthDate, Tag.PatientSex, Tag.ModalitiesInStudy,
  Tag.NumberOfStudyRelatedSeries, Tag.NumberOfStudyRelatedInstances].join(",");

/**
 * The studies that match a filter, newest first, page by page.
 *
 * DICOM has no "any of these attributes" query, so typed words are asked for as name, id, accession number and description at
 * once, and the ordered answers are merged: page n costs n pages of each. Without words there is one query and any page costs
 * the same.
 */
export class StudySearch {
  /**
   * @param {DicomWeb} client
   * @param {StudyFilter} filter
   */
  constructor(client, filter) {
    this.filter = filter;
    const queries = queriesOf(filter);
    /** @type {Stream[]} */
    this.streams = queries.map((keys) => new Stream(client, keys));
    /** @type {Dataset[]} */
    this.merged = [];
    this.seen = new Set();
  }

  /**
   * @param {number} offset
   * @param {number} limit
   * @param {AbortSignal} signal
   * @returns {Promise<StudySlice>}
   */
  async slice(offset, limit, signal) {
    const only = this.streams[0];
    if (this.streams.length === 1 && only) return { ...(await only.page(offset, limit, signal)), failed: 0 };
    await this.#fill(offset + limit + 1, signal);
    const studies = this.merged.slice(offset, offset + limit);
    const more = this.merged.length > offset + limit;
    const failed = this.streams.filter((stream) => stream.failed).length;
    return { studies, total: more ? null : this.merged.length, more, failed };
  }

  /**
   * Merges the streams until so many different studies are there.
   * @param {number} wanted
   * @param {AbortSignal} signal
   */
  async #fill(wanted, signal) {
    const ascending = this.filter.oldestFirst;
    while (this.merged.length < wanted) {
      await Promise.all(this.streams.map((stream) => stream.ready(signal)));
      if (this.streams.every((stream) => stream.failed)) throw this.streams[0]?.failed;
      const heads = this.streams.filter((stream) => stream.head !== undefined);
      if (heads.length === 0) return;
      const best = heads.reduce((one, other) => (before(other.key, one.key, ascending) ? other : one));
      const study = best.take();
      const uid = text(study, Tag.StudyInstanceUID);
      if (study && !this.seen.has(uid)) {
        this.seen.add(uid);
        this.merged.push(study);
      }
    }
  }
}

const STREAM_PAGE = 60;

/** One QIDO-RS query, read ahead page by page. */
class Stream {
  /**
   * @param {DicomWeb} client
   * @param {Record<string, string>} keys
   */
  constructor(client, keys) {
    this.client = client;
    this.keys = keys;
    /** @type {Dataset[]} */
    this.buffer = [];
    this.offset = 0;
    this.done = false;
    /** @type {unknown} */
    this.failed = null;
  }

  get head() {
    return this.buffer[0];
  }

  get key() {
    return text(this.head, Tag.StudyDate).padEnd(8, "0") + text(this.head, Tag.StudyTime);
  }

  take() {
    return this.buffer.shift();
  }

  /**
   * @param {number} offset
   * @param {number} limit
   * @param {AbortSignal} signal
   */
  page(offset, limit, signal) {
    return this.client.studies(this.keys, offset, limit, signal);
  }

  /** @param {AbortSignal} signal */
  async ready(signal) {
    if (this.buffer.length > 0 || this.done) return;
    try {
      const page = await this.page(this.offset, STREAM_PAGE, signal);
      this.offset += page.studies.length;
      this.buffer = page.studies;
      this.done = !page.more || page.studies.length === 0;
    } catch (error) {
      signal.throwIfAborted();
      this.failed = error;
      this.done = true;
    }
  }
}

/**
 * @param {string} one
 * @param {string} other
 * @param {boolean} ascending
 */
function before(one, other, ascending) {
  return ascending ? one < other : one > other;
}

/**
 * The QIDO-RS queries that together answer a filter.
 * @param {StudyFilter} filter
 * @returns {Record<string, string>[]}
 */
export function queriesOf(filter) {
  /** @type {Record<string, string>} */
  const common = { includefield: INCLUDE };
  if (filter.oldestFirst) common.sort = "StudyDate";
  if (filter.modalities.length) common.ModalitiesInStudy = filter.modalities.join(",");
  if (filter.from || filter.to) common.StudyDate = filter.from === filter.to ? filter.from : `${filter.from}-${filter.to}`;
  const words = filter.words.replace(/[*?\\]/g, " ").trim().replace(/\s+/g, " ");
  if (!words) return [common];
  if (/^\d+(\.\d+){3,}(,\d+(\.\d+){3,})*$/.test(words)) return [{ ...common, StudyInstanceUID: words }];
  return searchKeys(words).map((keys) => ({ ...common, ...keys }));
}

/**
 * Words of a name in any order, as the standard's fuzzy matching allows; parts of the others.
 * @param {string} words
 * @returns {Record<string, string>[]}
 */
function searchKeys(words) {
  const name = words.replace(/[,^\s]+/g, " ").trim();
  /** @type {Record<string, string>[]} */
  const keys = [name.includes(" ") ? { PatientName: name, fuzzymatching: "true" } : { PatientName: `*${name}*` }];
  for (const form of new Set([words, words.toUpperCase()])) keys.push({ PatientID: `*${form}*` }, { AccessionNumber: `${form}*` });
  for (const form of caseForms(words)) keys.push({ StudyDescription: `*${form}*` });
  return keys;
}

/**
 * Attributes other than names are matched with their case by the standard: ask for what was typed and for the usual ways to write it.
 * @param {string} words
 */
function caseForms(words) {
  const title = words.replace(/(^|\s)(\S)/g, (found) => found.toUpperCase());
  return new Set([words, words.toUpperCase(), title, words.charAt(0).toUpperCase() + words.slice(1)]);
}
