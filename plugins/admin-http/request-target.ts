/**
 * The path and query of a request, taken apart strictly: two spellings of one path are two paths, and all but one are refused.
 *
 * The text is cut out of the request's URL as the platform gives it. Platforms that resolve dot segments themselves have done so
 * before; what still looks like a trick here is refused.
 *
 * Source: RFC 3986, sections 3.3, 3.4 and 6.2.2.
 * Invariants
 *  - No segment is empty, "." or "..", plain or encoded; a decoded segment has no control character and is well-formed UTF-8.
 *  - No query key comes twice.
 */
import { Problem, quote } from "./problems.ts"

/** Longest path and query together, in characters. */
export const TARGET_LENGTH_MAX = 8_192

/** One name between two slashes. Names that the API itself gives are compared `raw`, those that a user gave `decoded`. */
export interface Segment {
  readonly raw: string
  readonly decoded: string
}

/** The path of a request as it was sent, not decoded; "" where there is none. */
export function rawPath(url: string): string {
  return splitTarget(url).path
}

/** The segments of the path; none for "/". */
export function parsePath(url: string): ReadonlyArray<Segment> {
  const { path, query } = splitTarget(url)
  if (path.length + query.length > TARGET_LENGTH_MAX) {
    throw new Problem("target-too-long", `the path and query are longer than ${TARGET_LENGTH_MAX} characters`)
  }
  if (!path.startsWith("/")) throw new Problem("malformed-path", "the path does not begin with a slash")
  if (path === "/") return []
  return path
    .slice(1)
    .split("/")
    .map((raw) => ({ raw, decoded: decodeSegment(raw) }))
}

/** The query's values by key; a key that is not in `allowed` is refused. */
export function parseQuery(url: string, allowed: ReadonlyArray<string>): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  const { query } = splitTarget(url)
  if (query === "") return values
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=")
    const key = decode(equals === -1 ? pair : pair.slice(0, equals))
    const value = equals === -1 ? "" : decode(pair.slice(equals + 1))
    if (key === undefined || value === undefined) {
      throw new Problem("malformed-query", `${quote(pair)} is not percent-encoded UTF-8`)
    }
    if (!allowed.includes(key)) {
      const known = allowed.length === 0 ? "none is known here" : `known: ${allowed.join(", ")}`
      throw new Problem("unknown-query-key", `the key ${quote(key)} is unknown; ${known}`, { members: { key } })
    }
    if (values.has(key)) throw new Problem("malformed-query", `the key ${quote(key)} is there twice`)
    values.set(key, value)
  }
  return values
}

function splitTarget(url: string): { path: string; query: string } {
  const target = url.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/, "")
  const mark = target.search(/[?#]/)
  if (mark === -1) return { path: target, query: "" }
  return {
    path: target.slice(0, mark),
    query: target[mark] === "?" ? (target.slice(mark + 1).split("#")[0] ?? "") : ""
  }
}

function decodeSegment(raw: string): string {
  if (raw === "")
    throw new Problem("malformed-path", "the path has an empty name: two slashes in a row, or one at its end")
  const decoded = decode(raw, false)
  if (decoded === undefined) throw new Problem("malformed-path", `${quote(raw)} is not percent-encoded UTF-8`)
  if (/[\u0000-\u001f\u007f-\u009f]/.test(decoded)) {
    throw new Problem("malformed-path", `${quote(raw)} has a control character`)
  }
  if (raw.includes("\\") || decoded.split(/[/\\]/).some((part) => part === "." || part === "..")) {
    throw new Problem("malformed-path", `${quote(raw)} has a dot segment or a backslash`)
  }
  return decoded
}

/** Percent-decoding; undefined where the result is no UTF-8. "+" is a space in a query only. */
function decode(text: string, isQuery = true): string | undefined {
  try {
    return decodeURIComponent(isQuery ? text.replaceAll("+", " ") : text)
  } catch {
    return undefined
  }
}
