/**
 * The HTTP API of a running broker, as the command uses it: one request, its JSON, or one line that says why there is none.
 *
 * Invariant: what a server says is shown without its control characters; a terminal obeys nobody but its owner.
 */
import * as v from "valibot"

/** Longer than admin-http gives a request. */
const TIMEOUT_MS = 60_000

/** The broker says no, or what answers is no broker. */
export class CallFailed extends Error {
  override readonly name = "CallFailed"
}

/** Nothing answers. */
export class Unreachable extends CallFailed {}

/** RFC 9457, as far as it is shown. */
const problem = v.looseObject({
  title: v.string(),
  detail: v.optional(v.string(), ""),
  advice: v.optional(v.string(), ""),
  code: v.optional(v.string(), ""),
  errors: v.optional(v.array(v.looseObject({ pointer: v.string(), detail: v.string() })), [])
})

export class Client {
  /** Without a slash at its end. */
  readonly url: string

  constructor(url: string) {
    this.url = url
  }

  /** The answer's JSON; undefined where it has none. `path` lies below /api/v1 and is encoded already. Throws {@link CallFailed}. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, text } = await this.#send(method, path, body)
    if (status < 300) {
      if (text === "") return undefined
      const value = parseJson(text)
      if (value === undefined) throw new CallFailed(`what answers at ${this.url} is not Manifold: it sent no JSON`)
      return value
    }
    const parsed = v.safeParse(problem, parseJson(text))
    if (!parsed.success) throw new CallFailed(`what answers at ${this.url} is not Manifold: it answered ${status}`)
    throw new CallFailed(tellProblem(parsed.output))
  }

  async #send(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
    const content =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
    try {
      const answer = await fetch(`${this.url}/api/v1/${path}`, {
        method,
        ...content,
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS)
      })
      return { status: answer.status, text: await answer.text() }
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : ""
      const isLate = error instanceof Error && error.name === "TimeoutError"
      const why = isLate ? `no answer within ${TIMEOUT_MS / 1_000} s` : code || "no connection"
      throw new Unreachable(
        `no broker answers at ${this.url} (${why}); "manifold start" starts one, --url http://host:port names another`
      )
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function tellProblem({ title, detail, advice, code, errors }: v.InferOutput<typeof problem>): string {
  const faults = errors.map(({ pointer, detail: fault }) => `${pointer || "the input"}: ${fault}`)
  const what = faults.length > 0 ? faults.join("; ") : detail || title
  return plainText(`${what}${code === "" ? "" : ` (${code})`}${advice === "" ? "" : `. ${advice}`}`)
}

/** A text without what a terminal would obey: control characters as escapes. */
export function plainText(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`
  )
}
