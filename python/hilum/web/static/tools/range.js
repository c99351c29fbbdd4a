import { number, numbers } from "../api/dataset.js";
import { Tag } from "../api/tag.js";

/**
 * Window over all values of an image that proposes none: the user needs somewhere to start from. The stored values are read once.
 * @param {DicomWeb} client
 * @param {StackImage} image
 * @param {AbortSignal} signal
 * @returns {Promise<VoiWindow | null>}
 */
export async function wholeRange(client, image, signal) {
  const values = await storedValues(client, image, signal);
  if (!values?.length) return null;
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return null;
  const slope = number(image.dataset, Tag.RescaleSlope) ?? 1;
  const intercept = number(image.dataset, Tag.RescaleIntercept) ?? 0;
  const [from, to] = [low * slope + intercept, high * slope + intercept].sort((a, b) => a - b);
  return window_(/** @type {number} */ (from), /** @type {number} */ (to));
}

/**
 * @param {number} low
 * @param {number} high
 * @returns {VoiWindow}
 */
function window_(low, high) {
  return { center: (low + high + 1) / 2, width: Math.max(1, high - low + 1) };
}

/**
 * @param {DicomWeb} client
 * @param {StackImage} image
 * @param {AbortSignal} signal
 */
async function storedValues(client, image, signal) {
  const bits = numbers(image.dataset, "00280100")[0] ?? 0;
  const signed = number(image.dataset, Tag.PixelRepresentation) === 1;
  const floating = Tag.FloatPixelData in image.dataset || Tag.DoubleFloatPixelData in image.dataset;
  const buffer = await client.frame(image, signal);
  if (floating) return bits === 64 ? new Float64Array(buffer) : new Float32Array(buffer);
  if (bits === 8) return signed ? new Int8Array(buffer) : new Uint8Array(buffer);
  const even = buffer.byteLength % 2 ? buffer.slice(0, -1) : buffer;
  if (bits === 16) return signed ? new Int16Array(even) : new Uint16Array(even);
  if (bits === 32) return signed ? new Int32Array(even) : new Uint32Array(even);
  return null;
}
