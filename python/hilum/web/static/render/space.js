/**
 * Vectors and planes in patient coordinates (LPS, mm).
 */

/**
 * @param {Vector} a
 * @param {Vector} b
 * @returns {Vector}
 */
export const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];

/**
 * @param {Vector} a
 * @param {Vector} b
 * @returns {Vector}
 */
export const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

/**
 * @param {Vector} a
 * @param {number} factor
 * @returns {Vector}
 */
export const times = (a, factor) => [a[0] * factor, a[1] * factor, a[2] * factor];

/**
 * @param {Vector} a
 * @param {Vector} b
 */
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/**
 * @param {Vector} a
 * @param {Vector} b
 * @returns {Vector}
 */
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

/** @param {Vector} a @returns {Vector} */
export const unit = (a) => times(a, 1 / (Math.hypot(...a) || 1));

/**
 * Turns a vector about an axis of length 1 (Rodrigues).
 * @param {Vector} vector
 * @param {Vector} axis
 * @param {number} angle radians
 * @returns {Vector}
 */
export function turned(vector, axis, angle) {
  const cosine = Math.cos(angle);
  const along = times(axis, dot(axis, vector) * (1 - cosine));
  return add(add(times(vector, cosine), times(cross(axis, vector), Math.sin(angle))), along);
}

/**
 * Where a view looks, and what is up in it.
 * @typedef {{look: Vector, up: Vector}} View
 */

/** As radiologists know them. @type {Readonly<Record<"axial" | "coronal" | "sagittal", View>>} */
export const STANDARD = Object.freeze({
  axial: { look: [0, 0, 1], up: [0, -1, 0] },
  coronal: { look: [0, 1, 0], up: [0, 0, 1] },
  sagittal: { look: [-1, 0, 0], up: [0, 0, 1] },
});

/**
 * Box of a volume.
 */
export class Box {
  /** @param {Vector[]} corners */
  constructor(corners) {
    this.corners = corners;
    this.centre = times(corners.reduce(add, /** @type {Vector} */ ([0, 0, 0])), 1 / Math.max(1, corners.length));
  }

  /**
   * Box around frames; null when they have no geometry.
   * @param {{plane: Plane, rows: number, columns: number, spacing: Spacing}[]} frames
   * @returns {Box | null}
   */
  static around(frames) {
    const [first] = frames;
    if (!first) return null;
    const { normal } = first.plane;
    const depths = frames.map((frame) => dot(frame.plane.position, normal)).sort((one, other) => one - other);
    const low = depths[0] ?? 0;
    const high = depths[depths.length - 1] ?? 0;
    if (frames.length < 2 || !Number.isFinite(low) || high - low < 1e-6) return null;
    const half = (high - low) / (frames.length - 1) / 2;
    const start = add(first.plane.position, times(normal, -dot(first.plane.position, normal)));
    /** @type {Vector[]} */
    const corners = [];
    for (const depth of [low - half, high + half]) {
      for (const column of [-0.5, first.columns - 0.5]) {
        for (const row of [-0.5, first.rows - 0.5]) {
          const across = add(times(first.plane.row, column * first.spacing.column), times(first.plane.column, row * first.spacing.row));
          corners.push(add(add(start, times(normal, depth)), across));
        }
      }
    }
    return new Box(corners);
  }

  /**
   * Depths of the box along a direction, from its centre.
   * @param {Vector} direction
   * @returns {number} half of the extent
   */
  reach(direction) {
    return Math.max(...this.corners.map((corner) => Math.abs(dot(minus(corner, this.centre), direction))));
  }
}

/**
 * Rectangle that is shown of a view: all of the box around its centre, or a part of it.
 */
export class Frame {
  /**
   * @param {Box} box
   * @param {View} view
   * @param {Vector} point the plane goes through it
   * @param {Size} size pixels
   * @param {number} [zoom]
   * @param {Vector} [focus] what is in the middle, as seen along the look; the middle of the box
   */
  constructor(box, view, point, size, zoom = 1, focus = box.centre) {
    this.look = unit(view.look);
    this.right = unit(cross(this.look, view.up));
    this.down = unit(cross(this.look, this.right));
    this.middle = add(focus, times(this.look, dot(minus(point, focus), this.look)));
    this.size = size;
    /** Millimetres of a pixel. */
    this.spacing = Math.max((2 * box.reach(this.right)) / size.width, (2 * box.reach(this.down)) / size.height) / zoom || 1;
  }

  /**
   * @param {Vector} point
   * @returns {Point} pixels
   */
  pixel(point) {
    const offset = minus(point, this.middle);
    return { x: this.size.width / 2 + dot(offset, this.right) / this.spacing, y: this.size.height / 2 + dot(offset, this.down) / this.spacing };
  }

  /**
   * @param {Point} pixel
   * @returns {Vector} in the plane
   */
  point(pixel) {
    const x = (pixel.x - this.size.width / 2) * this.spacing;
    const y = (pixel.y - this.size.height / 2) * this.spacing;
    return add(this.middle, add(times(this.right, x), times(this.down, y)));
  }

  /**
   * Direction of another plane's line in this one, in pixels; null when they are parallel.
   * @param {Vector} normal of the other plane
   * @returns {Point | null}
   */
  lineOf(normal) {
    const line = cross(this.look, unit(normal));
    if (Math.hypot(...line) < 1e-3) return null;
    return { x: dot(line, this.right), y: dot(line, this.down) };
  }
}
