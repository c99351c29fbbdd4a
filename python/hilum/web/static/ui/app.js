import { DicomWeb } from "../api/dicomweb.js";
import { StudyList } from "./list.js";
import { foreignLink, parseRoute } from "./route.js";
import { ViewerPage } from "./viewer.js";

/**
 * The whole page: shows the list or the viewer, as the address says.
 */
class App {
  constructor() {
    const client = new DicomWeb(new URL("dicom-web/", document.baseURI));
    const navigate = (/** @type {string} */ hash, /** @type {boolean} */ replace) => this.navigate(hash, replace);
    this.list = new StudyList(client, navigate);
    this.viewer = new ViewerPage(client, navigate, () => this.leave());
    this.cameFromList = false;
    this.listHash = "#/";
    this.viewer.element.hidden = true;
    document.body.replaceChildren(this.list.element, this.viewer.element);
    window.addEventListener("popstate", () => this.route());
    this.list.rows.addEventListener("click", (event) => this.#opened(event));
  }

  start() {
    const link = foreignLink(location.search);
    if (link) history.replaceState(null, "", `${location.pathname}${link}`);
    this.route();
  }

  /**
   * @param {string} hash
   * @param {boolean} replace
   */
  navigate(hash, replace) {
    if (replace) history.replaceState(history.state, "", hash);
    else history.pushState(null, "", hash);
    this.route();
  }

  /** Back to the list: the same entry of the history when there is one. */
  leave() {
    if (this.cameFromList) history.back();
    else this.navigate(this.listHash, false);
  }

  route() {
    const route = parseRoute(location.hash);
    const viewing = route.page === "viewer";
    const was = !this.viewer.element.hidden;
    this.viewer.element.hidden = !viewing;
    this.list.element.hidden = viewing;
    if (viewing) {
      void this.viewer.open(route);
      if (!was) this.viewer.stageElement.focus({ preventScroll: true });
    } else {
      if (was) this.viewer.close();
      this.cameFromList = false;
      this.listHash = location.hash || "#/";
      this.list.show(route.query);
    }
  }

  /** @param {Event} event a click on a row; the browser follows its link itself */
  #opened(event) {
    const { ctrlKey, metaKey, shiftKey } = /** @type {MouseEvent} */ (event);
    const link = event.target instanceof Element && !ctrlKey && !metaKey && !shiftKey ? event.target.closest("a") : null;
    if (!link) return;
    this.list.lastOpened = link.dataset.study ?? "";
    this.cameFromList = true;
  }
}

new App().start();
