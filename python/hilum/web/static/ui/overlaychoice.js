import { text } from "../api/dataset.js";
import { Tag } from "../api/tag.js";
import { choice } from "./choice.js";
import { h } from "./dom.js";

const SEGMENTS = new Set(["SEG", "RTSTRUCT"]);
const SHOWN = new Set([...SEGMENTS, "RTDOSE", "PT", "NM", "CT", "MR"]);
const OPACITY = 50;

/** @typedef {{uid: string, word: string, segments: boolean}} Candidate */

/**
 * What of the study may lie over the volume, and how opaque it is (the server's parameter "overlay").
 */
export class OverlayChoice {
  /**
   * @param {() => void} changed
   * @param {ReadonlySet<string>} [kinds] modalities of what is offered
   */
  constructor(changed, kinds = SHOWN) {
    this.changed = changed;
    this.kinds = kinds;
    /** @type {Candidate | null} */
    this.chosen = null;
    this.slider = h("input", { type: "range", min: "0", max: "100", value: String(OPACITY), "aria-label": "Opacity of the overlay" });
    this.slider.addEventListener("input", () => changed());
    this.opacity = h("label", { class: "choice", hidden: true }, h("span", {}, "Opacity"), this.slider);
  }

  /**
   * @param {DicomWeb} client
   * @param {string} study
   * @param {string} series that is shown
   * @returns {Promise<Element[]>} the controls; none where nothing can lie over the volume
   */
  async controls(client, study, series) {
    const others = (await client.series(study)).filter((one) => this.kinds.has(text(one, Tag.Modality)) && text(one, Tag.SeriesInstanceUID) !== series);
    const candidates = (await Promise.all(others.map((one) => candidatesOf(client, study, one)))).flat();
    if (candidates.length === 0) return [];
    const entries = /** @type {[string, string][]} */ (candidates.map(({ uid, word }) => [uid, word]));
    const select = choice("Overlay", [["", "None"], ...entries], (uid) => {
      this.chosen = candidates.find((one) => one.uid === uid) ?? null;
      this.opacity.hidden = this.chosen === null;
      this.changed();
    });
    return [select, this.opacity];
  }

  /**
   * @param {URLSearchParams} query of an image
   * @param {boolean} projected whether the image is a projection of values, in which segments have no place
   */
  apply(query, projected) {
    if (this.chosen === null || (projected && this.chosen.segments)) return;
    query.append("overlay", `${this.chosen.uid},opacity:${Number(this.slider.value) / 100}`);
  }
}

/**
 * A series, or each of its doses: there is one for each beam and one for the plan.
 * @param {DicomWeb} client
 * @param {string} study
 * @param {Dataset} series
 * @returns {Promise<Candidate[]>}
 */
async function candidatesOf(client, study, series) {
  const uid = text(series, Tag.SeriesInstanceUID);
  const modality = text(series, Tag.Modality);
  const word = [modality, text(series, Tag.SeriesDescription)].filter(Boolean).join(" \u00b7 ");
  if (modality !== "RTDOSE" || text(series, Tag.NumberOfSeriesRelatedInstances) === "1") return [{ uid, word, segments: SEGMENTS.has(modality) }];
  const doses = await client.metadata(study, uid);
  return doses.map((dose, at) => ({ uid: text(dose, Tag.SOPInstanceUID), word: `${word} ${at + 1} of ${doses.length}`, segments: false }));
}
