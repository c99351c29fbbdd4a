/**
 * Types that the modules share, for `tsc --checkJs`; no browser loads this file.
 */

/** One element of a data set in DICOM JSON (PS3.18 F). */
interface DicomElement {
  vr: string;
  Value?: unknown[];
  BulkDataURI?: string;
  InlineBinary?: string;
}

/** A data set: tag in eight upper case hex digits to element. */
type Dataset = Record<string, DicomElement>;

/** Which frame of which object. Frames count from 1. */
interface FrameReference {
  study: string;
  series: string;
  instance: string;
  frame: number;
}

/** How a frame is to be rendered (PS3.18 8.3.5). */
interface RenderOptions {
  /** null: as the object says */
  window: { center: number; width: number; shape: string } | null;
  /** null: as large as stored */
  viewport: Size | null;
  /** of JPEG, 1 to 100 */
  quality: number;
  /** PNG instead of JPEG */
  lossless: boolean;
}

/** One page of studies. */
interface StudyPage {
  studies: Dataset[];
  /** all that match, null when nobody has counted */
  total: number | null;
  /** whether there are more after these */
  more: boolean;
}

/** A page of merged searches: some of them may not have worked, then matches may be missing. */
interface StudySlice extends StudyPage {
  failed: number;
}

/** What the study list is asked to show. */
interface StudyFilter {
  /** typed by the user; "" for all */
  words: string;
  /** empty: all */
  modalities: string[];
  /** DA or "" */
  from: string;
  to: string;
  oldestFirst: boolean;
}

/** What the controls of the study list say; kept in the address. */
interface FilterState {
  words: string;
  /** labels of MODALITIES */
  modalities: string[];
  /** id of PERIODS */
  period: string;
  /** yyyy-mm-dd, for a custom period */
  from: string;
  to: string;
  oldestFirst: boolean;
  /** from 1 */
  page: number;
}

interface Point {
  x: number;
  y: number;
}

interface Size {
  width: number;
  height: number;
}

/** VOI window (PS3.3 C.11.2). */
interface VoiWindow {
  center: number;
  width: number;
}

/** A window with a name that a user may choose. */
interface Preset extends VoiWindow {
  name: string;
}

/** Distance between pixels. */
interface Spacing {
  /** from row to row, in `unit` */
  row: number;
  /** from column to column */
  column: number;
  /** "mm", or "px" when the object says nothing */
  unit: string;
  /** how far it can be trusted, "" when calibrated */
  note: string;
}

type Vector = [number, number, number];

/** Where a frame lies in the patient (PS3.3 C.7.6.2), LPS mm. */
interface Plane {
  /** of the first pixel */
  position: Vector;
  /** direction of increasing columns */
  row: Vector;
  /** direction of increasing rows */
  column: Vector;
  normal: Vector;
}

/** How a picture of an image is wanted. */
interface Wanted {
  image: StackImage;
  /** null: as the object says */
  window: VoiWindow | null;
  /** null: all stored pixels */
  viewport: Size | null;
}

/** A decoded picture of a frame. */
interface Picture {
  key: string;
  /** key without window and size */
  frame: string;
  image: StackImage;
  bitmap: ImageBitmap;
  /** it was rendered with */
  window: VoiWindow | null;
  /** whether it has all stored pixels */
  full: boolean;
}

/** One request that is waiting or under way. */
interface Job {
  key: string;
  wanted: Wanted;
  urgent: boolean;
  controller: AbortController;
  promise: Promise<Picture>;
  resolve: (picture: Picture) => void;
  reject: (error: unknown) => void;
  started: boolean;
}

/** A drag with one pointer, told from its start. */
interface Drag {
  start: Point;
  now: Point;
  last: Point;
  /** 0 main or touch, 1 middle, 2 right */
  button: number;
  shift: boolean;
  touch: boolean;
  /** a second finger has come */
  interrupted: boolean;
}

/** What the gestures do. */
interface GestureHandler {
  begin: (drag: Drag) => void;
  move: (drag: Drag) => void;
  end: (drag: Drag) => void;
  /** two fingers */
  pinch: (factor: number, around: Point, dx: number, dy: number) => void;
  wheel: (steps: number) => void;
  zoom: (factor: number, around: Point) => void;
  doubleTap: (point: Point) => void;
}

/** A length line on an image; ends in columns and rows. */
interface Line {
  from: Point;
  to: Point;
}

type ToolName = "scroll" | "window" | "pan" | "zoom" | "measure";

/** Something the user can do, by button, key or menu. */
interface Action {
  id: string;
  label: string;
  /** under the icon */
  short: string;
  icon: string;
  /** as `KeyboardEvent.key`, "" for none */
  key: string;
  /** as it is shown */
  keyName: string;
  group: "tool" | "view" | "object";
  run: () => void;
  /** pressed, playing, open */
  active: () => boolean;
  enabled: () => boolean;
}

/** Where the user is: the study list with its filter, or an image of a study. */
interface Route {
  page: "list" | "viewer";
  /** filter of the list */
  query: URLSearchParams;
  study: string;
  /** "" for the first */
  series: string;
  /** from 1, 0 when not said */
  image: number;
}

/** Changes the address: a new entry of the history, or the present one. */
type Navigate = (hash: string, replace: boolean) => void;

type Child = Node | string | number | null | undefined | false;

/** Attributes of an element; names starting with "on" are listeners, true is an empty attribute, null and false none. */
type Attributes = Record<string, unknown>;

type Cine = import("./tools/cine.js").Cine;
type DicomWeb = import("./api/dicomweb.js").DicomWeb;
type FrameLoader = import("./render/loader.js").FrameLoader;
type Stack = import("./render/stack.js").Stack;
type StackImage = import("./render/stack.js").StackImage;
type Stage = import("./ui/stage.js").Stage;
type ViewerPage = import("./ui/viewer.js").ViewerPage;
