/**
 * What this API answers when it does not do what was asked: one table of codes, one shape on the wire.
 *
 * Source: RFC 9457 (application/problem+json).
 * Invariants
 *  - `code` is stable and what scripts compare; `title` is the same text for the same code; `detail` is about this request.
 *  - A code has one status. Nothing of the inside (stack, path of a file, message of a defect) is ever in a problem.
 */
import type { ResourceError } from "../../core/mod.ts"

interface Kind {
  readonly status: number
  readonly title: string
  /** What the caller can do. */
  readonly advice: string
}

export const KINDS = {
  "malformed-path": {
    status: 400,
    title: "The path is malformed",
    advice: "Send each name once, between single slashes, percent-encoded as UTF-8, with no slash at the end."
  },
  "malformed-query": {
    status: 400,
    title: "The query is malformed",
    advice: "Send key=value pairs joined by &, each key once, percent-encoded as UTF-8."
  },
  "unknown-query-key": { status: 400, title: "The query has an unknown key", advice: "Leave the key out." },
  "invalid-query-value": {
    status: 400,
    title: "A value of the query is not allowed",
    advice: "Send a value within the stated bounds."
  },
  "malformed-host": {
    status: 400,
    title: "The Host header is malformed",
    advice: "Send one host name, with its port."
  },
  "malformed-json": { status: 400, title: "The body is not JSON", advice: "Send one JSON value in UTF-8 (RFC 8259)." },
  "json-too-deep": {
    status: 400,
    title: "The body is nested too deep",
    advice: "Send fewer levels of objects and arrays."
  },
  "method-override": {
    status: 400,
    title: "The method cannot be overridden",
    advice: "Send the method itself, without an override header."
  },
  "body-incomplete": { status: 400, title: "The body ended early", advice: "Send the request again." },
  "cross-origin": {
    status: 403,
    title: "Pages of another origin may not do this",
    advice: "Use a client that is no web page, or a page that this server serves."
  },
  refused: { status: 403, title: "Refused", advice: "Ask somebody who has the right to do this." },
  "unknown-route": {
    status: 404,
    title: "There is nothing at this path",
    advice: "GET /api/v1/resources tells what there is."
  },
  "not-found": { status: 404, title: "Not found", advice: "List the collection to see what there is." },
  "method-not-allowed": {
    status: 405,
    title: "The method is not allowed here",
    advice: "Use a method of the Allow header."
  },
  "body-timeout": { status: 408, title: "The body took too long", advice: "Send the body without pauses." },
  conflict: { status: 409, title: "Conflict", advice: "Read the current state and decide again." },
  "body-too-large": { status: 413, title: "The body is too large", advice: "Send less at a time." },
  "target-too-long": {
    status: 414,
    title: "The path and query are too long",
    advice: "Send a shorter path and query."
  },
  "unsupported-media-type": {
    status: 415,
    title: "The body is of another type",
    advice: "Send application/json in UTF-8, not compressed."
  },
  "host-not-allowed": {
    status: 421,
    title: "This listener does not answer for that host",
    advice: "Use a loopback address, or add the name to admin-http.hosts."
  },
  invalid: { status: 422, title: "The input is not valid", advice: "Correct what the errors name." },
  "header-too-large": { status: 431, title: "The headers are too large", advice: "Send fewer or shorter headers." },
  internal: {
    status: 500,
    title: "Internal error",
    advice: "Look for the incident in the log of the node, and report it."
  },
  busy: { status: 503, title: "Too many requests are under way", advice: "Try again after a moment." },
  "not-ready": { status: 503, title: "The node does not serve", advice: "Wait until it is ready." },
  "timed-out": {
    status: 503,
    title: "The answer took too long",
    advice: "Try again; what was asked may have happened."
  },
  unavailable: { status: 503, title: "Not available now", advice: "Try again after a moment." }
} as const satisfies Record<string, Kind>

export type ProblemCode = keyof typeof KINDS

/** Where a resource's reasons belong in the table. */
const KIND_OF_REASON = {
  "not-found": "not-found",
  invalid: "invalid",
  conflict: "conflict",
  refused: "refused",
  unavailable: "unavailable"
} as const satisfies Record<ResourceError["reason"], ProblemCode>

/** Longest detail, in UTF-16 code units: it may quote what the caller sent. */
const DETAIL_LENGTH_MAX = 400

export interface ProblemExtras {
  readonly headers?: Readonly<Record<string, string>>
  /** Further members of the document. */
  readonly members?: Readonly<Record<string, unknown>>
}

/** Thrown by a handler; answered by the application. */
export class Problem extends Error {
  override readonly name = "Problem"
  readonly status: number
  readonly #title: string
  readonly #advice: string
  readonly #code: string
  readonly #extras: ProblemExtras

  constructor(kind: ProblemCode, detail: string, extras: ProblemExtras = {}, code: string = kind) {
    super(shorten(detail))
    this.status = KINDS[kind].status
    this.#title = KINDS[kind].title
    this.#advice = KINDS[kind].advice
    this.#code = code
    this.#extras = extras
  }

  static ofResource(error: ResourceError): Problem {
    const kind = KIND_OF_REASON[error.reason]
    return new Problem(
      kind,
      error.message,
      kind === "unavailable" ? { headers: { "retry-after": "1" } } : {},
      error.code
    )
  }

  toResponse(): Response {
    const body = JSON.stringify({
      type: `urn:manifold:problem:${encodeURIComponent(this.#code.toWellFormed())}`,
      title: this.#title,
      status: this.status,
      code: this.#code,
      detail: this.message,
      advice: this.#advice,
      ...this.#extras.members
    })
    return textResponse(body, "application/problem+json", this.status, this.#extras.headers)
  }
}

/** A whole text as a response that states its length, so that HEAD tells the same as GET. */
export function textResponse(
  text: string,
  contentType: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): Response {
  const bytes = new TextEncoder().encode(text)
  return new Response(bytes, {
    status,
    headers: { ...headers, "content-type": contentType, "content-length": String(bytes.length) }
  })
}

/** A value that a caller sent, as it is quoted in a detail. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}

function shorten(text: string): string {
  return text.length > DETAIL_LENGTH_MAX ? `${text.slice(0, DETAIL_LENGTH_MAX - 3)}...` : text
}
