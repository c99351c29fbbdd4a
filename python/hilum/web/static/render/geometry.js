import { items, number, numbers, text, texts } from "../api/dataset.js";
import { Tag } from "../api/tag.js";

/**
 * Plane of a frame.
 * @param {Dataset[]} groups functional groups of the frame, then the data set itself
 * @returns {Plane | null}
 */
export function planeOf(groups) {
  const orientation = firstOf(groups, Tag.PlaneOrientationSequence, Tag.ImageOrientationPatient, 6);
  if (!orientation) return null;
  const position = firstOf(groups, Tag.PlanePositionSequence, Tag.ImagePositionPatient, 3) ?? [NaN, NaN, NaN];
  const row = /** @type {Vector} */ (orientation.slice(0, 3));
  const column = /** @type {Vector} */ (orientation.slice(3, 6));
  return { position: /** @type {Vector} */ (position), row, column, normal: cross(row, column) };
}

/**
 * Distance of the plane from the origin along its normal, in mm.
 * @param {Plane} plane
 */
export function distance(plane) {
  return dot(plane.position, plane.normal);
}

/**
 * Place of the slice as a radiologist reads it: the axis nearest to the normal and the coordinate on it.
 * @param {Plane} plane
 * @returns {string}
 */
export function slicePosition(plane) {
  const sizes = plane.normal.map(Math.abs);
  const axis = sizes.indexOf(Math.max(...sizes));
  const value = plane.position[axis];
  if (value === undefined || !Number.isFinite(value)) return "";
  const letters = [["L", "R"], ["P", "A"], ["S", "I"]][axis] ?? ["", ""];
  return `${letters[value >= 0 ? 0 : 1]} ${Math.abs(value).toFixed(1)} mm`;
}

/**
 * Spacing of a frame, best source first.
 * @param {Dataset[]} groups
 * @returns {Spacing}
 */
export function spacingOf(groups) {
  const own = firstOf(groups, Tag.PixelMeasuresSequence, Tag.PixelSpacing, 2);
  if (own && own.every((value) => value > 0)) return millimetres(own, "");
  const dataset = groups[groups.length - 1] ?? {};
  const detector = numbers(dataset, Tag.ImagerPixelSpacing);
  if (detector.length === 2 && detector.every((value) => value > 0)) return millimetres(detector, "at the detector");
  const nominal = numbers(dataset, Tag.NominalScannedPixelSpacing);
  if (nominal.length === 2 && nominal.every((value) => value > 0)) return millimetres(nominal, "nominal");
  const ratio = numbers(dataset, Tag.PixelAspectRatio);
  const [vertical = 1, horizontal = 1] = ratio;
  const usable = ratio.length === 2 && vertical > 0 && horizontal > 0;
  return { row: usable ? vertical / horizontal : 1, column: 1, unit: "px", note: "not calibrated" };
}

/**
 * Spacing at a point of an ultrasound image: that of the region it lies in (PS3.3 C.8.5.5).
 * @param {Dataset} dataset
 * @param {number} x column
 * @param {number} y row
 * @returns {Spacing | null}
 */
export function regionSpacing(dataset, x, y) {
  for (const region of items(dataset, Tag.SequenceOfUltrasoundRegions)) {
    const corner = [Tag.RegionLocationMinX0, Tag.RegionLocationMinY0, Tag.RegionLocationMaxX1, Tag.RegionLocationMaxY1];
    const [left = 0, top = 0, right = -1, bottom = -1] = corner.map((tag) => number(region, tag) ?? 0);
    const centimetres = number(region, Tag.PhysicalUnitsXDirection) === 3 && number(region, Tag.PhysicalUnitsYDirection) === 3;
    if (!centimetres || x < left || x > right || y < top || y > bottom) continue;
    const dx = Math.abs(number(region, Tag.PhysicalDeltaX) ?? 0) * 10;
    const dy = Math.abs(number(region, Tag.PhysicalDeltaY) ?? 0) * 10;
    if (dx > 0 && dy > 0) return { row: dy, column: dx, unit: "mm", note: "" };
  }
  return null;
}

/**
 * Letters for the directions of increasing columns and rows (PS3.3 C.7.6.1.1.1): from the plane, else as stored.
 * @param {Plane | null} plane
 * @param {Dataset} dataset
 * @returns {{row: string, column: string}}
 */
export function directionLetters(plane, dataset) {
  if (plane) return { row: letters(plane.row), column: letters(plane.column) };
  const [row = "", column = ""] = texts(dataset, Tag.PatientOrientation);
  const valid = /^[LRAPHFSI]{1,3}$/;
  return { row: valid.test(row) ? row : "", column: valid.test(column) ? column : "" };
}

const OPPOSITE = new Map([["L", "R"], ["R", "L"], ["A", "P"], ["P", "A"], ["H", "F"], ["F", "H"], ["S", "I"], ["I", "S"]]);

/** @param {string} word */
export function opposite(word) {
  return [...word].map((letter) => OPPOSITE.get(letter) ?? letter).join("");
}

/** @param {Dataset} dataset */
export function laterality(dataset) {
  const value = text(dataset, Tag.ImageLaterality) || text(dataset, Tag.Laterality);
  return value === "L" || value === "R" ? value : "";
}

/**
 * @param {Vector} vector
 * @returns {string} up to three letters, the strongest first
 */
function letters(vector) {
  const names = [["L", "R"], ["P", "A"], ["S", "I"]];
  const parts = vector.map((value, axis) => ({ size: Math.abs(value), letter: names[axis]?.[value > 0 ? 0 : 1] ?? "" }));
  return parts.filter((part) => part.size > 0.25).sort((one, other) => other.size - one.size).map((part) => part.letter).join("");
}

/**
 * Numbers of an attribute, in the functional group macro where it belongs or in the data set itself.
 * @param {Dataset[]} groups
 * @param {string} macro
 * @param {string} tag
 * @param {number} count
 * @returns {number[] | null}
 */
function firstOf(groups, macro, tag, count) {
  for (const group of groups) {
    for (const holder of [items(group, macro)[0], group]) {
      const values = numbers(holder, tag);
      if (values.length === count) return values;
    }
  }
  return null;
}

/**
 * @param {number[]} spacing
 * @param {string} note
 * @returns {Spacing}
 */
function millimetres(spacing, note) {
  return { row: spacing[0] ?? 1, column: spacing[1] ?? 1, unit: "mm", note };
}

/**
 * @param {Vector} a
 * @param {Vector} b
 * @returns {Vector}
 */
function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/**
 * @param {Vector} a
 * @param {Vector} b
 */
function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
