/**
 * What went wrong with a request, in words for the person at the screen.
 */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status, 0 when no answer came
   */
  constructor(message, status) {
    super(message);
    this.name = "RequestError";
    this.status = status;
  }
}

const WORDS = new Map([
  [400, "The server did not understand the request."],
  [401, "Please sign in to see this."],
  [403, "You are not allowed to see this."],
  [404, "This is not in the archive. It may have been deleted or moved."],
  [406, "No image can be made of this object."],
  [410, "This has been deleted from the archive."],
  [413, "This is larger than the server sends at once."],
  [415, "No image can be made of this object: its encoding is not supported."],
  [422, "The object is damaged and cannot be shown."],
  [429, "The server has too much to do. Please try again in a moment."],
  [503, "The server is busy or starting. Please try again in a moment."],
]);

/**
 * @param {Response} response
 * @returns {RequestError}
 */
export function errorOf(response) {
  const status = response.status;
  const words = WORDS.get(status) ?? (status >= 500 ? "The server could not answer." : "The request was refused.");
  return new RequestError(`${words} (${status})`, status);
}

/**
 * @param {unknown} error
 * @returns {boolean} whether the request was taken back by us
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function wordsOf(error) {
  if (error instanceof RequestError) return error.message;
  return "Something unexpected happened in this page.";
}
