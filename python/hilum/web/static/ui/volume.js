import { DicomWeb } from "../api/dicomweb.js";
import { personName, text } from "../api/dataset.js";
import { isAbort, wordsOf } from "../api/errors.js";
import { Tag } from "../api/tag.js";
import { Box, Frame, STANDARD, add, cross, dot, minus, times, turned, unit } from "../render/space.js";
import { slicePosition } from "../render/geometry.js";
import { Stack } from "../render/stack.js";
import { CT_PRESETS, dragged, formatNumber } from "../render/voi.js";
import { Gestures } from "../tools/gestures.js";
import { choice } from "./choice.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { MprPane } from "./mprpane.js";
import { OverlayChoice } from "./overlaychoice.js";
import { TimeChoice } from "./timechoice.js";
import { VolumePane } from "./volumepane.js";

const UID = "[0-9.]{1,64}";
const ADDRESS = new RegExp(`^#/study/(${UID})/series/(${UID})$`);
const FAR = 1000;
const TURN = 0.008;
const MOST_ZOOM = 20;
const SLABS = [0, 2, 5, 10, 20, 50];
const METHODS = [["average_ip", "Mean"], ["maximum_ip", "MIP"], ["minimum_ip", "MinIP"]];
/** Ways to show the volume in 3D: word, method, transfer function. @type {readonly [string, string, string, string][]} */
const SCENES = [
  ["Bone", "volume_rendered", "ct-bone", "CT"], ["Soft tissue", "volume_rendered", "ct-soft-tissue", "CT"], ["Lung", "volume_rendered", "ct-lung", "CT"],
  ["Vessels", "volume_rendered", "ct-angio", "CT"], ["MR", "volume_rendered", "mr", "MR"], ["PET", "volume_rendered", "pet-hot", "PT"],
  ["MIP", "maximum_ip", "", ""],
];

/** @typedef {import("../render/space.js").View} View */

/**
 * A series as three linked planes and in 3D, everything rendered by the server (PS3.18 10.4.1.1.7, 10.4.1.1.8).
 */
export class VolumePage {
  constructor() {
    this.client = new DicomWeb(new URL("dicom-web/", document.baseURI));
    this.box = new Box([[0, 0, 0]]);
    /** @type {Vector} where the planes meet */
    this.point = [0, 0, 0];
    /** @type {Vector} what is in the middle of the planes */
    this.focus = [0, 0, 0];
    this.zoom = 1;
    this.solidZoom = 1;
    this.step = 1;
    this.path = "";
    /** @type {{center: number, width: number} | null} */
    this.window = null;
    /** @type {{center: number, width: number} | null} of the first image */
    this.stored = null;
    this.slab = 0;
    this.method = "average_ip";
    this.scene = SCENES[0] ?? SCENES[6];
    /** @type {"cross" | "window"} */
    this.tool = "cross";
    this.overlay = new OverlayChoice(() => this.#moved());
    this.time = new TimeChoice(() => this.#moved(), () => this.grid.querySelector(".pane:not([hidden])[aria-busy=true]") !== null);
    /** @type {View} */
    this.camera = { look: [0, 1, 0], up: [0, 0, 1] };
    this.planes = [
      new MprPane(this, "Axial", "#5cc8dc", STANDARD.axial), new MprPane(this, "Coronal", "#8fdc7a", STANDARD.coronal), new MprPane(this, "Sagittal", "#f3bd58", STANDARD.sagittal),
    ];
    this.solid = new VolumePane("3D", (size, coarse) => this.#solidAddress(size, coarse), (words) => this.fail(words));
    this.heading = h("h1", {}, "Loading\u2026");
    this.subheading = h("p", {});
    this.back = h("a", { class: "round", href: "./", title: "Back to the series", "aria-label": "Back to the series" }, icon("back"));
    this.message = h("p", { class: "volume-message", role: "status" }, "Loading the volume\u2026");
    this.grid = h("main", { class: "panes" }, ...this.planes.map((plane) => plane.element), this.solid.element);
    this.controls = h("div", { class: "volume-tools", role: "toolbar", "aria-label": "Tools" });
    document.body.replaceChildren(h("div", { class: "volume" },
      h("header", { class: "volume-bar" }, this.back, h("div", { class: "title" }, this.heading, this.subheading), this.controls),
      this.grid, this.message, h("p", { class: "note volume-note" }, "Not for diagnosis")));
    new Gestures(this.solid.element, {
      begin: () => {}, end: () => {}, wheel: (steps) => this.#spin(steps * 12, 0),
      zoom: (factor) => this.#zoomSolid(factor), pinch: (factor) => this.#zoomSolid(factor),
      move: (drag) => this.#spin(drag.now.x - drag.last.x, drag.now.y - drag.last.y), doubleTap: () => this.enlarge(this.solid.element),
    });
    new ResizeObserver(() => this.#everything()).observe(this.grid);
    window.addEventListener("hashchange", () => location.reload());
  }

  async start() {
    const match = ADDRESS.exec(location.hash);
    if (!match) return this.fail("This address names no series.");
    const [, study = "", series = ""] = match;
    this.back.setAttribute("href", `./#/study/${study}/series/${series}`);
    this.path = `studies/${study}/series/${series}`;
    try {
      const [of, metadata] = await Promise.all([this.client.study(study), this.client.metadata(study, series)]);
      const stack = new Stack(study, series, metadata);
      this.#title(of, stack);
      this.#show(stack);
      if (this.box.corners.length === 8) {
        this.controls.append(...(await this.time.controls(study, series)), ...(await this.overlay.controls(this.client, study, series)));
      }
    } catch (error) {
      if (!isAbort(error)) this.fail(wordsOf(error));
    }
    return undefined;
  }

  /**
   * Address of the image of a plane.
   * @param {View} view
   * @param {Size} size
   * @param {boolean} coarse
   */
  planeAddress(view, size, coarse) {
    const frame = this.frameOf(view, size);
    const query = this.#viewpoint(frame.middle, frame.look, view.up, size, coarse);
    query.set("fieldofview", (frame.spacing * size.width).toFixed(3));
    if (this.window) query.set("window", `${this.window.center},${this.window.width},linear-exact`);
    if (this.slab) query.set("mprslab", String(this.slab));
    query.set("renderingmethod", this.method);
    this.overlay.apply(query, false);
    return `${this.client.base}${this.path}/renderedmpr?${query}`;
  }

  /**
   * What is shown of a view, in so many pixels.
   * @param {View} view
   * @param {Size} size
   */
  frameOf(view, size) {
    return new Frame(this.box, view, this.point, size, this.zoom, this.focus);
  }

  /**
   * Where a plane lies, how thick it is, and its window.
   * @param {View} view
   */
  wordsOf(view) {
    const normal = unit(view.look);
    const word = METHODS.find(([method]) => method === this.method)?.[1] ?? "";
    const oblique = Math.max(...normal.map(Math.abs)) < 0.9999;
    const none = /** @type {Vector} */ ([0, 0, 0]);
    return [
      oblique ? "oblique" : slicePosition({ normal, position: this.point, row: none, column: none }), this.slab ? `${this.slab} mm ${word}` : "",
      this.window ? `W ${formatNumber(this.window.width)} L ${formatNumber(this.window.center)}` : "",
    ].filter(Boolean).join(" \u00b7 ");
  }

  /**
   * Enlarges the planes and moves them under the fingers.
   * @param {MprPane} plane that is touched
   * @param {number} factor
   * @param {Point} at where the fingers are
   * @param {number} dx pixels that they have moved
   * @param {number} dy
   */
  zoomBy(plane, factor, at, dx, dy) {
    const before = plane.frame;
    const held = before.point({ x: at.x - dx, y: at.y - dy });
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const offset = minus(held, plane.frame.point(at));
    for (const axis of [before.right, before.down]) {
      const wanted = dot(minus(this.focus, this.box.centre), axis) + dot(offset, axis);
      const most = this.zoom > 1 ? this.box.reach(axis) : 0;
      const now = dot(minus(this.focus, this.box.centre), axis);
      this.focus = add(this.focus, times(axis, Math.min(most, Math.max(-most, wanted)) - now));
    }
    for (const one of this.planes) {
      one.draw();
      one.pane.moved();
    }
  }

  /** @param {Vector} point where the planes shall meet */
  moveTo(point) {
    const inside = this.planes.every((plane) => Math.abs(dot(minus(point, this.box.centre), unit(plane.view.look))) <= this.box.reach(unit(plane.view.look)));
    if (!inside) return;
    this.point = point;
    for (const plane of this.planes) {
      plane.draw();
      plane.pane.moved();
    }
  }

  /**
   * Turns the other planes about the normal of one.
   * @param {MprPane} still
   * @param {number} angle
   */
  turn(still, angle) {
    const axis = unit(still.view.look);
    for (const plane of this.planes) {
      if (plane !== still) {
        plane.view = { look: turned(plane.view.look, axis, angle), up: turned(plane.view.up, axis, angle) };
        plane.pane.moved();
      }
      plane.draw();
    }
    still.draw();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  dragWindow(dx, dy) {
    this.window = dragged(this.window ?? { center: 40, width: 400 }, dx, dy, true);
    this.#moved();
  }

  /** @param {HTMLElement} pane shown alone, or with the others again */
  enlarge(pane) {
    const alone = this.grid.dataset.alone === pane.dataset.pane;
    this.#alone(alone ? "" : (pane.dataset.pane ?? ""));
  }

  /** @param {string} words */
  fail(words) {
    this.message.hidden = false;
    this.message.setAttribute("role", "alert");
    fill(this.message, words);
    if (this.heading.textContent?.startsWith("Loading")) fill(this.heading, "Series");
  }

  /** @param {Stack} stack */
  #show(stack) {
    const frames = stack.images.flatMap((image) => (image.plane && image.hasPixels ? [{ plane: image.plane, rows: image.rows, columns: image.columns, spacing: image.spacing }] : []));
    const box = Box.around(frames);
    if (!box) return this.fail("This series is no volume: its images do not lie behind one another.");
    this.box = box;
    this.point = box.centre;
    this.focus = box.centre;
    this.step = Math.max(0.5, (2 * box.reach([0, 0, 1])) / Math.max(1, frames.length));
    const stored = stack.images[0]?.windows[0];
    this.stored = stored ? { center: stored.center, width: stored.width } : stack.modality === "CT" ? { center: 40, width: 400 } : null;
    this.window = this.stored;
    this.scene = SCENES.find((scene) => scene[3] === stack.modality) ?? SCENES[SCENES.length - 1] ?? this.scene;
    this.#build(stack.modality);
    this.message.hidden = true;
    this.#alone(matchMedia("(max-width: 760px)").matches ? "Axial" : "");
    return undefined;
  }

  /** @param {string} modality */
  #build(modality) {
    const scenes = SCENES.filter((scene) => !scene[3] || scene[3] === modality);
    const windows = modality === "CT" ? CT_PRESETS : [];
    const tool = h("button", { type: "button", class: "round", title: "Drag sets the window", "aria-label": "Drag sets the window", "aria-pressed": "false" }, icon("window"));
    tool.addEventListener("click", () => {
      this.tool = this.tool === "cross" ? "window" : "cross";
      tool.setAttribute("aria-pressed", String(this.tool === "window"));
    });
    const reset = h("button", { type: "button", class: "round", title: "Reset", "aria-label": "Reset", onclick: () => this.#reset() }, icon("reset"));
    const panes = choice("Pane", ["All", ...this.planes.map((plane) => plane.name), "3D"].map((name) => [name === "All" ? "" : name, name]), (value) => this.#alone(value));
    panes.classList.add("pane-choice");
    const of = (/** @type {string} */ kind, /** @type {HTMLElement} */ element) => { element.classList.add(`of-${kind}`); return element; };
    const method = of("planes", choice("Slab of", /** @type {[string, string][]} */ (METHODS), (value) => { this.method = value; this.#planesAnew(); }));
    method.hidden = true;
    fill(this.controls, panes, tool,
      choice("Window", [["", "As stored"], .../** @type {[string, string][]} */ (windows.map((one, at) => [String(at), one.name]))], (value) => this.#preset(value ? windows[Number(value)] : this.stored)),
      of("planes", choice("Slab", SLABS.map((slab) => [String(slab), slab ? `${slab} mm` : "Thin"]), (value) => { this.slab = Number(value); method.hidden = !this.slab; this.#planesAnew(); })),
      method, of("solid", choice("3D", scenes.map((scene) => [scene[0], scene[0]]), (value) => { this.scene = scenes.find((scene) => scene[0] === value) ?? this.scene; this.#everything(); })), reset);
  }

  /** @param {{center: number, width: number} | null | undefined} preset */
  #preset(preset) {
    this.window = preset ? { center: preset.center, width: preset.width } : null;
    this.#planesAnew();
    this.solid.settled();
  }

  #reset() {
    this.point = this.box.centre;
    this.focus = this.box.centre;
    this.zoom = 1;
    this.solidZoom = 1;
    [STANDARD.axial, STANDARD.coronal, STANDARD.sagittal].forEach((view, at) => {
      const plane = this.planes[at];
      if (plane) plane.view = view;
    });
    this.camera = { look: [0, 1, 0], up: [0, 0, 1] };
    this.#everything();
  }

  /** @param {string} name of the pane that is shown alone, "" for all */
  #alone(name) {
    this.grid.dataset.alone = name;
    this.controls.dataset.of = name === "3D" ? "solid" : name ? "planes" : "all";
    const panes = /** @type {HTMLSelectElement | null} */ (this.controls.querySelector(".pane-choice select"));
    if (panes) panes.value = name;
    for (const element of /** @type {HTMLElement[]} */ ([...this.grid.children])) element.hidden = name !== "" && element.dataset.pane !== name;
    this.#everything();
  }

  #everything() {
    if (this.box.corners.length < 8) return;
    this.#planesAnew();
    this.#annotateSolid();
    this.solid.settled();
  }

  #moved() {
    this.message.hidden = true;
    for (const plane of this.planes) {
      plane.draw();
      plane.pane.moved();
    }
    this.solid.moved();
  }

  #planesAnew() {
    for (const plane of this.planes) {
      if (plane.element.hidden) continue;
      plane.draw();
      plane.pane.settled();
    }
  }

  /**
   * @param {number} dx pixels
   * @param {number} dy
   */
  #spin(dx, dy) {
    const { look, up } = this.camera;
    const right = unit(cross(unit(look), up));
    const level = (/** @type {Vector} */ vector) => turned(turned(vector, unit(up), -dx * TURN), right, -dy * TURN);
    this.camera = { look: unit(level(look)), up: unit(level(up)) };
    this.#annotateSolid();
    this.solid.moved();
  }

  /** @param {number} factor */
  #zoomSolid(factor) {
    this.solidZoom = Math.min(MOST_ZOOM, Math.max(1, this.solidZoom * factor));
    this.#annotateSolid();
    this.solid.moved();
  }

  #annotateSolid() {
    const right = unit(cross(unit(this.camera.look), this.camera.up));
    this.solid.annotate({ right, down: unit(cross(unit(this.camera.look), right)), spacing: this.#solidSpacing(this.solid.size) }, this.scene?.[0] ?? "");
  }

  /**
   * Millimetres of a pixel, the same however the volume is turned.
   * @param {Size} size
   */
  #solidSpacing(size) {
    const axes = /** @type {Vector[]} */ ([[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
    return (2 * Math.max(...axes.map((axis) => this.box.reach(axis)))) / Math.min(size.width, size.height) / this.solidZoom || 1;
  }

  /**
   * @param {Size} size
   * @param {boolean} coarse
   */
  #solidAddress(size, coarse) {
    const [, method = "", preset = ""] = this.scene ?? [];
    const query = this.#viewpoint(this.box.centre, this.camera.look, this.camera.up, size, coarse);
    query.set("fieldofview", (this.#solidSpacing(size) * size.width).toFixed(3));
    query.set("renderingmethod", method);
    if (preset) query.set("preset", preset);
    else if (this.window) query.set("window", `${this.window.center},${this.window.width},linear-exact`);
    this.overlay.apply(query, method !== "volume_rendered");
    if (coarse) query.set("interactive", "yes");
    return `${this.client.base}${this.path}/rendered3d?${query}`;
  }

  /**
   * @param {Vector} at
   * @param {Vector} look
   * @param {Vector} up
   * @param {Size} size
   * @param {boolean} coarse
   */
  #viewpoint(at, look, up, size, coarse) {
    const words = (/** @type {Vector} */ vector) => vector.map((value) => Number(value.toFixed(4))).join(",");
    const query = new URLSearchParams({
      viewpointposition: words(minus(at, times(unit(look), FAR))), viewpointlookat: words(at), viewpointup: words(up),
      viewport: `${size.width},${size.height}`, quality: coarse ? "70" : "90",
    });
    this.time.apply(query);
    return query;
  }

  /**
   * @param {Dataset | null} study
   * @param {Stack} stack
   */
  #title(study, stack) {
    const name = personName(study ?? undefined, Tag.PatientName) || "No name";
    const first = stack.images[0]?.dataset;
    fill(this.heading, name);
    fill(this.subheading, [text(study ?? undefined, Tag.PatientID), stack.modality, text(first, Tag.SeriesDescription)].filter(Boolean).join(" \u00b7 "));
    document.title = `${name} \u2013 hilum`;
  }
}

void new VolumePage().start();
