/**
 * Reads a request's body as JSON, with a bound on bytes and depth before anything is built from it.
 *
 * Invariant: nothing is allocated by a size that the client merely declares.
 */
import { Problem, quote } from "./problems.ts"

/** Levels of objects and arrays; beyond, a recursive reader could run out of stack. */
export const JSON_DEPTH_MAX = 64

/**
 * The value of the body; an empty body is `{}`, so that what needs no input needs no body. `signal` gives up the reading: what
 * came until then is never taken for the whole.
 */
export async function readJson(request: Request, bytesMax: number, signal: AbortSignal): Promise<unknown> {
  const bytes = await readBytes(request, bytesMax, signal)
  if (bytes.length === 0) return {}
  checkType(request.headers)
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw new Problem("malformed-json", "the body is not UTF-8")
  }
  if (isDeeperThan(text, JSON_DEPTH_MAX)) {
    throw new Problem("json-too-deep", `the body has more than ${JSON_DEPTH_MAX} levels of objects and arrays`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem("malformed-json", "the body does not parse as JSON")
  }
}

/** Refuses a body whose declared length is beyond the bound, before a byte of it is read. */
export function checkDeclaredLength(headers: Headers, bytesMax: number): void {
  const declared = headers.get("content-length")
  if (declared !== null && Number(declared) > bytesMax) throw tooLarge(bytesMax)
}

async function readBytes(request: Request, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Array<Uint8Array> = []
  let size = 0
  const reader = request.body?.getReader()
  if (reader === undefined) return new Uint8Array(0)
  const giveUp = (): void => void reader.cancel().catch(() => {})
  signal.addEventListener("abort", giveUp, { once: true })
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw incomplete()
      })
      if (signal.aborted) throw incomplete()
      if (done) break
      size += value.length
      if (size > bytesMax) {
        giveUp()
        throw tooLarge(bytesMax)
      }
      chunks.push(value)
    }
  } finally {
    signal.removeEventListener("abort", giveUp)
  }
  const bytes = new Uint8Array(size)
  let position = 0
  for (const chunk of chunks) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return bytes
}

function incomplete(): Problem {
  return new Problem("body-incomplete", "the connection ended before the body did")
}

function tooLarge(bytesMax: number): Problem {
  return new Problem("body-too-large", `the body is larger than ${bytesMax} bytes`, {
    headers: { connection: "close" },
    members: { bytes_max: bytesMax }
  })
}

function checkType(headers: Headers): void {
  const type = headers.get("content-type") ?? ""
  if (!/^\s*application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(type)) {
    throw new Problem("unsupported-media-type", `the content type is ${quote(type)}`)
  }
  const encoding = headers.get("content-encoding")
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new Problem("unsupported-media-type", `the content encoding is ${quote(encoding)}`)
  }
}

/** Whether brackets outside of strings ever nest deeper than `depthMax`. */
function isDeeperThan(text: string, depthMax: number): boolean {
  let depth = 0
  let isString = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (isString) {
      if (code === 0x5c) index += 1
      else if (code === 0x22) isString = false
    } else if (code === 0x22) isString = true
    else if (code === 0x5b || code === 0x7b) {
      depth += 1
      if (depth > depthMax) return true
    } else if (code === 0x5d || code === 0x7d) depth -= 1
  }
  return false
}
