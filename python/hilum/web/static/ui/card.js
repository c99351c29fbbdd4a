import { formatDate, formatTime, items, personName, text } from "../api/dataset.js";
import { isAbort, wordsOf } from "../api/errors.js";
import { Tag } from "../api/tag.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { reportTree } from "./report.js";

/** What kinds of objects without pixels are called, by the end of their SOP class. @type {readonly [RegExp, string][]} */
const KINDS = [
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.104\.1$/, "PDF document"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.104\.2$/, "CDA document"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.104\.[345]$/, "3D model"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\.59$/, "Key object selection"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\./, "Structured report"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.11\./, "Presentation state"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.481\.3$/, "RT structure set"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.481\.[58]$/, "RT plan"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.481\./, "RT object"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.9\./, "Waveform"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.67$/, "Real world value mapping"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.66/, "Registration or raw data"],
  [/^1\.2\.840\.10008\.5\.1\.4\.1\.1\.4\.2$/, "MR spectroscopy"],
  [/^1\.2\.840\.10008\.5\.1\.4\.38\./, "Hanging protocol"],
];

/**
 * Shows an object that has no pixels: what it is, what it says, and its document when it holds one.
 */
export class ObjectCard {
  /** @param {DicomWeb} client */
  constructor(client) {
    this.client = client;
    this.element = h("article", { class: "object", hidden: true, tabindex: "0" });
    /** @type {StackImage | null} */
    this.image = null;
  }

  /** @param {StackImage | null} image */
  show(image) {
    if (image === this.image) return;
    this.image = image;
    this.element.hidden = image === null;
    if (!image) return;
    const data = image.dataset;
    const kind = kindOf(data);
    const title = titleOf(data);
    this.element.setAttribute("aria-label", kind);
    fill(this.element,
      h("header", {}, icon("document"), h("div", {}, h("h2", {}, title || kind), title ? h("p", {}, kind) : null)),
      h("dl", {}, ...facts(data).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      this.#document(image), this.#contours(data), reportTree(data));
    this.element.scrollTop = 0;
  }

  /** @param {StackImage} image */
  #document(image) {
    const type = text(image.dataset, Tag.MIMETypeOfEncapsulatedDocument);
    if (!(Tag.EncapsulatedDocument in image.dataset)) return null;
    const status = h("p", { role: "status" });
    const open = h("button", { type: "button", class: "action", onclick: () => void this.#open(image, type, status) },
      type === "application/pdf" ? "Open the PDF" : "Save the document");
    return h("div", { class: "document" }, open, status);
  }

  /**
   * @param {StackImage} image
   * @param {string} type
   * @param {HTMLElement} status
   */
  async #open(image, type, status) {
    const pdf = type === "application/pdf";
    fill(status, "Loading\u2026");
    try {
      const base = this.client.instancePath(image);
      const [path, accept] = pdf ? [`${base}/rendered`, type] : [`${base}/bulkdata/${Tag.EncapsulatedDocument}`, "application/octet-stream, */*"];
      const blob = await this.client.blob(path, accept, AbortSignal.timeout(120000));
      const url = URL.createObjectURL(new Blob([blob], { type: pdf ? type : "application/octet-stream" }));
      const link = h("a", { href: url, target: pdf ? "_blank" : null, rel: "noopener", download: pdf ? null : `${image.instance}.bin` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      fill(status);
    } catch (error) {
      if (!isAbort(error)) fill(status, wordsOf(error));
    }
  }

  /** @param {Dataset} data */
  #contours(data) {
    const regions = items(data, Tag.StructureSetROISequence).map((region) => text(region, Tag.ROIName) || `ROI ${text(region, Tag.ROINumber)}`);
    return regions.length ? h("div", {}, h("h3", {}, "Regions"), h("ul", { class: "regions" }, ...regions.map((name) => h("li", {}, name)))) : null;
  }
}

/** @param {Dataset} data */
function kindOf(data) {
  const uid = text(data, Tag.SOPClassUID);
  return KINDS.find(([pattern]) => pattern.test(uid))?.[1] ?? "Object without an image";
}

/** @param {Dataset} data */
function titleOf(data) {
  const concept = text(items(data, Tag.ConceptNameCodeSequence)[0], Tag.CodeMeaning);
  const names = [text(data, Tag.DocumentTitle), concept, text(data, Tag.StructureSetLabel), text(data, Tag.RTPlanLabel),
    text(data, Tag.ContentDescription), text(data, Tag.ContentLabel), text(data, Tag.SeriesDescription)];
  return names.find(Boolean) ?? "";
}

/**
 * @param {Dataset} data
 * @returns {[string, string][]}
 */
function facts(data) {
  const date = text(data, Tag.ContentDate) || text(data, Tag.SeriesDate) || text(data, Tag.StudyDate);
  const state = [text(data, Tag.CompletionFlag), text(data, Tag.VerificationFlag)].filter(Boolean).join(", ").toLowerCase();
  /** @type {[string, string][]} */
  const rows = [["Patient", [personName(data, Tag.PatientName), text(data, Tag.PatientID)].filter(Boolean).join(" \u00b7 ")],
    ["Modality", text(data, Tag.Modality)], ["Series", text(data, Tag.SeriesDescription)],
    ["Date", [formatDate(date), formatTime(text(data, Tag.ContentTime))].filter(Boolean).join(" ")],
    ["State", state], ["Made by", text(data, Tag.Manufacturer)]];
  return rows.filter(([, value]) => value);
}
