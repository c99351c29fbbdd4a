const UID = "[0-9.]{1,64}";
const VIEWER = new RegExp(`^/study/(${UID})(?:/series/(${UID})(?:/image/(\\d{1,7}))?)?/?$`);

/**
 * @param {string} hash of the address, with its "#"
 * @returns {Route}
 */
export function parseRoute(hash) {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const match = VIEWER.exec(path);
  if (!match) return { page: "list", query: new URLSearchParams(query), study: "", series: "", image: 0 };
  return { page: "viewer", query: new URLSearchParams(), study: match[1] ?? "", series: match[2] ?? "", image: Number(match[3] ?? 0) };
}

/**
 * @param {string} study
 * @param {string} [series]
 * @param {number} [image] from 1
 * @returns {string}
 */
export function viewerHash(study, series, image) {
  const path = [`#/study/${study}`];
  if (series) path.push(`series/${series}`);
  if (series && image) path.push(`image/${image}`);
  return path.join("/");
}

/**
 * @param {URLSearchParams} query
 * @returns {string}
 */
export function listHash(query) {
  const text = query.toString();
  return text ? `#/?${text}` : "#/";
}

/**
 * `?StudyInstanceUIDs=` of other viewers, as a hash of ours; "" when it is not there.
 * @param {string} search query of the address
 * @returns {string}
 */
export function foreignLink(search) {
  const named = new URLSearchParams(search).getAll("StudyInstanceUIDs").flatMap((value) => value.split(/[,\\]/));
  const uids = named.map((uid) => uid.trim()).filter((uid) => new RegExp(`^${UID}$`).test(uid));
  const [only] = uids;
  if (!only) return "";
  return uids.length === 1 ? viewerHash(only) : listHash(new URLSearchParams({ q: uids.join(",") }));
}
