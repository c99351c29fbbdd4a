import { RequestError, errorOf } from "./errors.js";

const RETRY_STATUS = new Set([429, 502, 503, 504]);
const RETRIES = 2;

/**
 * The archive's DICOMweb services (PS3.18).
 */
export class DicomWeb {
  /** @param {URL} base address of the services, ending in "/" */
  constructor(base) {
    this.base = base;
  }

  /**
   * QIDO-RS studies, one page.
   * @param {Record<string, string>} keys
   * @param {number} offset
   * @param {number} limit
   * @param {AbortSignal} [signal]
   * @returns {Promise<StudyPage>}
   */
  async studies(keys, offset, limit, signal) {
    const query = new URLSearchParams(keys);
    query.set("offset", String(offset));
    query.set("limit", String(limit));
    const response = await this.#get(`studies?${query}`, "application/dicom+json", signal);
    const studies = /** @type {Dataset[]} */ (await readJson(response));
    const remaining = remainingOf(response);
    const counted = Number(response.headers.get("X-Total-Count") ?? NaN);
    const total = Number.isFinite(counted) ? counted : remaining !== null ? offset + studies.length + remaining : null;
    const told = response.headers.get("Warning")?.includes("additional results") ?? false;
    const more = total !== null ? offset + studies.length < total : told || studies.length >= limit;
    return { studies, total, more };
  }

  /**
   * QIDO-RS: the study's own attributes.
   * @param {string} study
   * @param {AbortSignal} [signal]
   * @returns {Promise<Dataset | null>}
   */
  async study(study, signal) {
    const query = new URLSearchParams({ StudyInstanceUID: study, limit: "1" });
    const found = await readJson(await this.#get(`studies?${query}`, "application/dicom+json", signal));
    return /** @type {Dataset[]} */ (found)[0] ?? null;
  }

  /**
   * QIDO-RS: series of a study.
   * @param {string} study
   * @param {AbortSignal} [signal]
   * @returns {Promise<Dataset[]>}
   */
  async series(study, signal) {
    const path = `studies/${encodeURIComponent(study)}/series?limit=5000&includefield=00080021,0008103E,00180015,00201209`;
    return /** @type {Dataset[]} */ (await readJson(await this.#get(path, "application/dicom+json", signal)));
  }

  /**
   * WADO-RS metadata of all instances of a series.
   * @param {string} study
   * @param {string} series
   * @param {AbortSignal} [signal]
   * @returns {Promise<Dataset[]>}
   */
  async metadata(study, series, signal) {
    const path = `${this.#seriesPath(study, series)}/metadata`;
    return /** @type {Dataset[]} */ (await readJson(await this.#get(path, "application/dicom+json", signal)));
  }

  /**
   * WADO-RS rendered frame.
   * @param {FrameReference} reference
   * @param {RenderOptions} options
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>}
   */
  async rendered(reference, options, signal) {
    const query = [];
    if (options.window) query.push(`window=${options.window.center},${options.window.width},${options.window.shape}`);
    if (options.viewport) query.push(`viewport=${options.viewport.width},${options.viewport.height}`);
    if (!options.lossless) query.push(`quality=${options.quality}`);
    const type = options.lossless ? "image/png" : "image/jpeg";
    const path = `${this.instancePath(reference)}/frames/${reference.frame}/rendered`;
    const response = await this.#get(query.length ? `${path}?${query.join("&")}` : path, type, signal);
    return readBlob(response);
  }

  /**
   * Address of a series' thumbnail.
   * @param {string} study
   * @param {string} series
   * @param {number} size in pixels
   * @returns {string}
   */
  thumbnailUrl(study, series, size) {
    return new URL(`${this.#seriesPath(study, series)}/thumbnail?viewport=${size},${size}`, this.base).href;
  }

  /**
   * Stored values of one frame, little endian, decoded by the server.
   * @param {FrameReference} reference
   * @param {AbortSignal} [signal]
   * @returns {Promise<ArrayBuffer>}
   */
  async frame(reference, signal) {
    const path = `${this.instancePath(reference)}/frames/${reference.frame}`;
    const accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1';
    const response = await this.#get(path, accept, signal);
    const type = response.headers.get("Content-Type") ?? "";
    const body = await response.arrayBuffer();
    return type.startsWith("multipart/") ? firstPart(body) : body;
  }

  /**
   * @param {FrameReference} reference
   * @returns {string}
   */
  instancePath(reference) {
    return `${this.#seriesPath(reference.study, reference.series)}/instances/${encodeURIComponent(reference.instance)}`;
  }

  /**
   * An object as it was stored, or the value of one element.
   * @param {string} path below the services' address, or a whole address
   * @param {string} accept
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>}
   */
  async blob(path, accept, signal) {
    const response = await this.#get(path, accept, signal);
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("multipart/")) return readBlob(response);
    return new Blob([firstPart(await response.arrayBuffer())]);
  }

  /**
   * @param {string} study
   * @param {string} series
   */
  #seriesPath(study, series) {
    return `studies/${encodeURIComponent(study)}/series/${encodeURIComponent(series)}`;
  }

  /**
   * @param {string} path
   * @param {string} accept
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   */
  async #get(path, accept, signal) {
    const url = new URL(path, this.base);
    for (let attempt = 0; ; attempt++) {
      const response = await send(url, accept, signal);
      if (response.ok) return response;
      if (attempt >= RETRIES || !RETRY_STATUS.has(response.status)) throw errorOf(response);
      const asked = Number(response.headers.get("Retry-After"));
      await pause(Math.min(asked > 0 ? asked * 1000 : 300 * 2 ** attempt, 5000), signal);
    }
  }
}

/**
 * @param {URL} url
 * @param {string} accept
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
async function send(url, accept, signal) {
  try {
    return await fetch(url, { headers: { Accept: accept }, credentials: "same-origin", signal: signal ?? null });
  } catch (error) {
    signal?.throwIfAborted();
    throw new RequestError("The server cannot be reached. Check the connection.", 0);
  }
}

/**
 * @param {Response} response
 * @returns {Promise<unknown[]>}
 */
async function readJson(response) {
  if (response.status === 204) return [];
  const body = await readBody(response.json());
  if (Array.isArray(body)) return body;
  return body && typeof body === "object" ? [body] : [];
}

/**
 * @param {Response} response
 * @returns {Promise<Blob>}
 */
function readBlob(response) {
  return readBody(response.blob());
}

/**
 * @template T
 * @param {Promise<T>} body
 * @returns {Promise<T>}
 */
async function readBody(body) {
  try {
    return await body;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestError("The answer of the server broke off.", 0);
  }
}

/**
 * Count in "Warning: 299 … There are N additional results …" (PS3.18 8.3.4.4).
 * @param {Response} response
 * @returns {number | null}
 */
function remainingOf(response) {
  const match = /(\d+) additional results/.exec(response.headers.get("Warning") ?? "");
  return match ? Number(match[1]) : null;
}

/**
 * Body of the first part of a multipart answer.
 * @param {ArrayBuffer} body
 * @returns {ArrayBuffer}
 */
function firstPart(body) {
  const bytes = new Uint8Array(body);
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 4096));
  const start = head.indexOf("--");
  const boundary = head.slice(start, head.indexOf("\r\n", start));
  const first = head.indexOf("\r\n\r\n", start) + 4;
  const mark = new TextEncoder().encode(`\r\n${boundary}`);
  const end = indexOfBytes(bytes.subarray(first), mark);
  return body.slice(first, end < 0 ? bytes.length : first + end);
}

/**
 * @param {Uint8Array} bytes
 * @param {Uint8Array} wanted
 */
function indexOfBytes(bytes, wanted) {
  for (let at = bytes.indexOf(13); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
