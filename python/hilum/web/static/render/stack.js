import { items, number, text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { directionLetters, distance, planeOf, regionSpacing, spacingOf } from "./geometry.js";
import { storedWindows, windowShape } from "./voi.js";

/**
 * One image of a stack: a frame of an object, or an object that has no pixels.
 */
export class StackImage {
  /**
   * @param {Dataset} dataset
   * @param {number} frame from 1
   * @param {string} study
   * @param {string} series
   */
  constructor(dataset, frame, study, series) {
    this.dataset = dataset;
    this.study = study;
    this.series = series;
    this.instance = text(dataset, Tag.SOPInstanceUID);
    this.frame = frame;
    this.frames = Math.max(1, number(dataset, Tag.NumberOfFrames) ?? 1);
    this.rows = number(dataset, Tag.Rows) ?? 0;
    this.columns = number(dataset, Tag.Columns) ?? 0;
    this.hasPixels = this.rows > 0 && this.columns > 0 && isImage(dataset);
    const photometric = text(dataset, Tag.PhotometricInterpretation);
    this.colour = (number(dataset, Tag.SamplesPerPixel) ?? 1) > 1 || photometric === "PALETTE COLOR";
    this.inverse = photometric === "MONOCHROME1";
    /** @type {Dataset[] | null} */
    this.cachedGroups = null;
    /** @type {Spacing | null} */
    this.cachedSpacing = null;
    /** @type {Preset[] | null} */
    this.cachedWindows = null;
  }

  /** Functional groups of this frame, shared ones, then the data set: where an attribute is looked for. */
  get groups() {
    if (!this.cachedGroups) {
      const own = items(this.dataset, Tag.PerFrameFunctionalGroupsSequence)[this.frame - 1];
      const shared = items(this.dataset, Tag.SharedFunctionalGroupsSequence)[0];
      this.cachedGroups = [own, shared, this.dataset].filter((group) => group !== undefined);
    }
    return this.cachedGroups;
  }

  /** @returns {Plane | null} */
  get plane() {
    return planeOf(this.groups);
  }

  /** @returns {Spacing} */
  get spacing() {
    this.cachedSpacing ??= spacingOf(this.groups);
    return this.cachedSpacing;
  }

  /**
   * Spacing for a measurement at a point.
   * @param {number} x
   * @param {number} y
   * @returns {Spacing}
   */
  spacingAt(x, y) {
    return regionSpacing(this.dataset, x, y) ?? this.spacing;
  }

  /** How much taller than wide a pixel is. */
  get aspect() {
    const { row, column } = this.spacing;
    const ratio = row / column;
    return ratio > 0.05 && ratio < 20 ? ratio : 1;
  }

  /** @returns {Preset[]} */
  get windows() {
    this.cachedWindows ??= this.colour ? [] : storedWindows(this.groups);
    return this.cachedWindows;
  }

  /** VOI LUT function for a window of the user's: where the object has no windows, its values may well be fractions. */
  get shape() {
    return windowShape(this.groups) || (this.windows.length ? "linear" : "linear-exact");
  }

  get exact() {
    return this.shape === "linear-exact";
  }

  get directions() {
    return directionLetters(this.plane, this.dataset);
  }
}

/**
 * The images of a series in the order they are looked through.
 */
export class Stack {
  /**
   * @param {string} study
   * @param {string} series
   * @param {Dataset[]} datasets metadata of its instances
   */
  constructor(study, series, datasets) {
    this.study = study;
    this.series = series;
    const ordered = inOrder(datasets);
    /** @type {StackImage[]} */
    this.images = ordered.flatMap((dataset) => framesOf(dataset, study, series));
    const first = this.images[0];
    this.modality = text(first?.dataset, Tag.Modality);
  }

  get length() {
    return this.images.length;
  }

  /** Frames per second that the objects ask for, null when they are not meant to move. */
  get frameRate() {
    const image = this.images[0];
    if (!image || this.length < 2) return null;
    const asked = number(image.dataset, Tag.RecommendedDisplayFrameRate) ?? number(image.dataset, Tag.CineRate);
    const time = number(image.dataset, Tag.FrameTime);
    const rate = asked && asked > 0 ? asked : time && time > 0 ? 1000 / time : null;
    return rate === null ? null : Math.min(60, Math.max(1, Math.round(rate)));
  }
}

/**
 * @param {Dataset} dataset
 * @param {string} study
 * @param {string} series
 */
function framesOf(dataset, study, series) {
  const first = new StackImage(dataset, 1, study, series);
  const count = first.hasPixels ? first.frames : 1;
  return Array.from({ length: count }, (_, at) => (at === 0 ? first : new StackImage(dataset, at + 1, study, series)));
}

/** @param {Dataset} dataset */
function isImage(dataset) {
  const pixels = [Tag.PixelData, Tag.FloatPixelData, Tag.DoubleFloatPixelData];
  return pixels.some((tag) => tag in dataset) || Boolean(text(dataset, Tag.PhotometricInterpretation));
}

/**
 * By instance number; where that is missing or the same for several, by place along the normal, then by UID.
 * @param {Dataset[]} datasets
 */
function inOrder(datasets) {
  const keyed = datasets.map((dataset) => {
    const plane = planeOf([dataset]);
    const along = plane ? distance(plane) : NaN;
    return { dataset, number: number(dataset, Tag.InstanceNumber) ?? Infinity, along, uid: text(dataset, Tag.SOPInstanceUID) };
  });
  keyed.sort((one, other) => {
    if (one.number !== other.number) return one.number < other.number ? -1 : 1;
    if (one.along !== other.along && !Number.isNaN(one.along) && !Number.isNaN(other.along)) return one.along - other.along;
    return one.uid < other.uid ? -1 : 1;
  });
  return keyed.map((entry) => entry.dataset);
}
