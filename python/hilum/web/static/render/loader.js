import { isAbort } from "../api/errors.js";

const QUALITY = 92;
const SMALL = 160 * 160;
/** One connection stays free for the image that is looked at (browsers open six to a host). */
const BACKGROUND_REQUESTS = 4;

/**
 * Rendered frames as bitmaps: at most `budget` bytes of them, the least recently used go first. Requests can be taken back.
 */
export class FrameLoader extends EventTarget {
  /**
   * @param {DicomWeb} client
   * @param {number} budget in bytes
   */
  constructor(client, budget) {
    super();
    this.client = client;
    this.budget = budget;
    this.bytes = 0;
    /** @type {Picture | null} the one on the screen, never thrown away */
    this.held = null;
    /** @type {Map<string, Picture>} */
    this.pictures = new Map();
    /** @type {Map<string, Job>} */
    this.jobs = new Map();
  }

  /**
   * @param {Wanted} wanted
   * @returns {Picture | null}
   */
  cached(wanted) {
    const key = keyOf(wanted);
    const picture = this.pictures.get(key);
    if (!picture) return null;
    this.pictures.delete(key);
    this.pictures.set(key, picture);
    return picture;
  }

  /**
   * @param {Wanted} wanted
   * @returns {boolean} whether it is there, without counting as a use
   */
  has(wanted) {
    return this.pictures.has(keyOf(wanted));
  }

  /**
   * Loads a picture that will hardly be asked for again (a window in the middle of a drag): it is not kept.
   * @param {Wanted} wanted
   * @param {AbortSignal} signal
   * @returns {Promise<Picture>}
   */
  async once(wanted, signal) {
    const bitmap = await this.#fetch(wanted, signal);
    return pictureOf(keyOf(wanted), wanted, bitmap);
  }

  /**
   * Any picture of the frame, whatever its window or size.
   * @param {StackImage} image
   * @returns {Picture | null}
   */
  anyOf(image) {
    const frame = frameKey(image);
    let best = null;
    for (const picture of this.pictures.values()) if (picture.frame === frame) best = picture;
    return best;
  }

  /**
   * @param {Wanted} wanted
   * @param {boolean} urgent looked at now, not only likely to be soon
   * @returns {Promise<Picture>}
   */
  load(wanted, urgent) {
    const picture = this.cached(wanted);
    if (picture) return Promise.resolve(picture);
    const key = keyOf(wanted);
    const job = this.jobs.get(key) ?? this.#enqueue(key, wanted);
    job.urgent ||= urgent;
    this.#pump();
    return job.promise;
  }

  /**
   * Asks for frames that will be looked at next and takes back all requests for others.
   * @param {Wanted[]} list in order of importance
   * @param {(wanted: Wanted) => boolean} keep whether a request under way is still of use
   */
  prefetch(list, keep) {
    const wantedKeys = new Set(list.map(keyOf));
    for (const job of [...this.jobs.values()]) {
      if (wantedKeys.has(job.key) || (job.started && keep(job.wanted))) continue;
      this.#cancel(job);
    }
    for (const wanted of list) {
      const key = keyOf(wanted);
      if (this.pictures.has(key) || this.jobs.has(key)) continue;
      this.#enqueue(key, wanted).promise.catch(() => undefined);
    }
    this.#pump();
  }

  /** Takes back every request. */
  cancelAll() {
    for (const job of [...this.jobs.values()]) this.#cancel(job);
  }

  /**
   * @param {string} key
   * @param {Wanted} wanted
   * @returns {Job}
   */
  #enqueue(key, wanted) {
    /** @type {(picture: Picture) => void} */
    let resolve = () => undefined;
    /** @type {(error: unknown) => void} */
    let reject = () => undefined;
    /** @type {Promise<Picture>} */
    const promise = new Promise((yes, no) => { resolve = yes; reject = no; });
    const job = { key, wanted, urgent: false, controller: new AbortController(), promise, resolve, reject, started: false };
    this.jobs.set(key, job);
    return job;
  }

  #pump() {
    let background = 0;
    for (const job of this.jobs.values()) if (job.started && !job.urgent) background++;
    for (const job of this.jobs.values()) {
      if (job.started || (!job.urgent && background >= BACKGROUND_REQUESTS)) continue;
      if (!job.urgent) background++;
      job.started = true;
      void this.#run(job);
    }
  }

  /** @param {Job} job */
  async #run(job) {
    try {
      const bitmap = await this.#fetch(job.wanted, job.controller.signal);
      if (this.jobs.get(job.key) !== job) {
        bitmap.close();
        return;
      }
      this.jobs.delete(job.key);
      const picture = pictureOf(job.key, job.wanted, bitmap);
      this.#keep(picture);
      job.resolve(picture);
    } catch (error) {
      if (this.jobs.get(job.key) === job) this.jobs.delete(job.key);
      job.reject(error);
      if (!isAbort(error)) this.dispatchEvent(new Event("failure"));
    } finally {
      this.#pump();
    }
  }

  /**
   * @param {Wanted} wanted
   * @param {AbortSignal} signal
   */
  async #fetch(wanted, signal) {
    const { image, window, viewport } = wanted;
    const lossless = image.rows * image.columns <= SMALL;
    const shaped = window ? { ...window, shape: image.shape } : null;
    const options = { window: shaped, viewport, quality: QUALITY, lossless };
    const blob = await this.client.rendered(image, options, signal);
    return createImageBitmap(blob);
  }

  /** @param {Picture} picture */
  #keep(picture) {
    this.pictures.set(picture.key, picture);
    this.bytes += sizeOf(picture);
    for (const [key, oldest] of this.pictures) {
      if (this.bytes <= this.budget) break;
      if (oldest === picture || oldest === this.held) continue;
      this.pictures.delete(key);
      this.bytes -= sizeOf(oldest);
      oldest.bitmap.close();
    }
    this.dispatchEvent(new Event("kept"));
  }

  /** @param {Job} job */
  #cancel(job) {
    this.jobs.delete(job.key);
    job.promise.catch(() => undefined);
    job.controller.abort();
    job.reject(new DOMException("taken back", "AbortError"));
  }
}

/**
 * @param {string} key
 * @param {Wanted} wanted
 * @param {ImageBitmap} bitmap
 * @returns {Picture}
 */
function pictureOf(key, wanted, bitmap) {
  const { image, window, viewport } = wanted;
  return { key, frame: frameKey(image), image, bitmap, window, full: viewport === null };
}

/** @param {StackImage} image */
function frameKey(image) {
  return `${image.instance}/${image.frame}`;
}

/** @param {Wanted} wanted */
function keyOf(wanted) {
  const window = wanted.window ? `${wanted.window.center},${wanted.window.width}` : "stored";
  const size = wanted.viewport ? `${wanted.viewport.width}x${wanted.viewport.height}` : "full";
  return `${frameKey(wanted.image)}/${window}/${size}`;
}

/** @param {Picture} picture */
function sizeOf(picture) {
  return picture.bitmap.width * picture.bitmap.height * 4;
}
