/** What the main button or one finger does. @type {readonly [ToolName, string, string, string][]} */
const TOOLS = [
  ["scroll", "Scroll through the images", "Scroll", "s"],
  ["window", "Window: contrast and brightness", "Window", "w"],
  ["pan", "Pan", "Pan", "p"],
  ["zoom", "Zoom", "Zoom", "z"],
  ["measure", "Measure length", "Measure", "m"],
];

const always = () => true;
const never = () => false;

/**
 * @param {ViewerPage} page
 * @returns {Action[]}
 */
export function makeActions(page) {
  const { stage, cine } = page;
  const picture = () => stage.image?.hasPixels === true;
  const grey = () => picture() && stage.image?.colour === false;
  const many = () => (stage.stack?.length ?? 0) > 1;
  const tools = TOOLS.map(([id, label, short, key]) => {
    const enabled = id === "window" ? grey : id === "scroll" ? many : picture;
    return action(id, label, short, key, key.toUpperCase(), "tool", () => page.chooseTool(id), () => page.tool === id, enabled);
  });
  return [...tools,
    action("presets", "Window presets", "Presets", "", "1\u20136", "view", () => page.openPresets(), never, grey),
    action("cine", "Play", "Play", " ", "Space", "view", () => cine.toggle(), () => cine.playing, () => many() && picture()),
    action("invert", "Invert", "Invert", "i", "I", "view", () => stage.viewport.invert(), () => stage.viewport.inverted, picture),
    action("rotate", "Rotate", "Rotate", "r", "R", "view", () => stage.viewport.rotate(), never, picture),
    action("fliph", "Flip left and right", "Flip H", "h", "H", "view", () => stage.viewport.flip("x"), never, picture),
    action("flipv", "Flip top and bottom", "Flip V", "v", "V", "view", () => stage.viewport.flip("y"), never, picture),
    action("fit", "Fit to screen", "Fit", "f", "F", "view", () => stage.viewport.fit(), never, picture),
    action("actual", "Actual pixels, 1:1", "1:1", "0", "0", "view", () => page.actualSize(), never, picture),
    action("reset", "Reset view and window", "Reset", "Escape", "Esc", "view", () => page.resetView(), never, picture),
    action("erase", "Remove last line", "Erase", "Delete", "Del", "view", () => page.measure.removeLast(), never, () => page.measure.current.length > 0),
    action("volume", "Planes and 3D", "3D", "g", "G", "object", () => page.openVolume(), never, () => picture() && grey() && many()),
    action("tiles", "Large image: zoom by tiles", "Tiles", "l", "L", "object", () => page.openTiles(), never, picture),
    action("tags", "DICOM attributes", "Tags", "t", "T", "object", () => page.toggleTags(), () => page.tagsOpen, () => stage.image !== null),
    action("download", "Download original", "Save", "d", "D", "object", () => void page.download(), never, () => stage.image !== null),
    action("help", "Keys and gestures", "Help", "?", "?", "object", () => page.openHelp(), never, always),
  ];
}

/**
 * @param {string} id and name of the icon
 * @param {string} label
 * @param {string} short
 * @param {string} key
 * @param {string} keyName
 * @param {Action["group"]} group
 * @param {() => void} run
 * @param {() => boolean} active
 * @param {() => boolean} enabled
 * @returns {Action}
 */
function action(id, label, short, key, keyName, group, run, active, enabled) {
  return { id, label, short, icon: id === "cine" ? "play" : id, key, keyName, group, run, active, enabled };
}
