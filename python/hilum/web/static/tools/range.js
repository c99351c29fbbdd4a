import { items, number } from "../api/dataset.js";
import { Tag } from "../api/tag.js";

/**
 * Window over all values of an image that proposes none: the user needs somewhere to start from. The stored values are read once.
 * @param {DicomWeb} client
 * @param {StackImage} image
 * @param {AbortSignal} signal
 * @returns {Promise<VoiWindow | null>}
 */
export async function wholeRange(client, image, signal) {
  const bits = number(image.dataset, Tag.BitsStored) ?? 16;
  const transform = image.groups.map((group) => items(group, Tag.PixelValueTransformationSequence)[0] ?? group)
    .find((group) => number(group, Tag.RescaleSlope) !== undefined);
  const slope = number(transform, Tag.RescaleSlope) ?? 1;
  const intercept = number(transform, Tag.RescaleIntercept) ?? 0;
  const [low, high] = bits <= 8 ? [0, 2 ** bits - 1] : extremes(await storedValues(client, image, signal));
  if (!(high >= low)) return null;
  const one = low * slope + intercept;
  const other = high * slope + intercept;
  return image.exact ? { center: (one + other) / 2, width: Math.max(Math.abs(other - one), 1e-9) }
    : { center: (one + other + 1) / 2, width: Math.abs(other - one) + 1 };
}

/**
 * @param {ArrayLike<number>} values
 * @returns {[number, number]}
 */
function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (let at = 0; at < values.length; at++) {
    const value = /** @type {number} */ (values[at]);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * @param {DicomWeb} client
 * @param {StackImage} image
 * @param {AbortSignal} signal
 */
async function storedValues(client, image, signal) {
  const bits = number(image.dataset, Tag.BitsAllocated) ?? 0;
  const signed = number(image.dataset, Tag.PixelRepresentation) === 1;
  const floating = Tag.FloatPixelData in image.dataset || Tag.DoubleFloatPixelData in image.dataset;
  const buffer = await client.frame(image, signal);
  if (floating) return bits === 64 ? new Float64Array(buffer) : new Float32Array(buffer);
  if (bits === 8) return signed ? new Int8Array(buffer) : new Uint8Array(buffer);
  const even = buffer.byteLength % 2 ? buffer.slice(0, -1) : buffer;
  if (bits === 16) return signed ? new Int16Array(even) : new Uint16Array(even);
  if (bits === 32) return signed ? new Int32Array(even) : new Uint32Array(even);
  return [];
}
