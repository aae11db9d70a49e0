/** What holds for every request, checked before anything is done for it. */
import { checkDeclaredLength } from "./json-body.ts"
import { checkHost, checkOrigin } from "./origin.ts"
import { Problem } from "./problems.ts"
import { parsePath, type Segment } from "./request-target.ts"

/** All header names and values together, in characters. */
export const HEADER_LENGTH_MAX = 16_384

const OVERRIDES = ["x-http-method-override", "x-http-method", "x-method-override"]

export interface RequestRules {
  readonly isLoopbackListener: boolean
  readonly furtherHosts: ReadonlyArray<string>
  readonly bodyBytesMax: number
}

/** The segments of the request's path; throws the problem of a request that is refused whatever it asks for. */
export function checkRequest(request: Request, rules: RequestRules): ReadonlyArray<Segment> {
  const { headers, method, url } = request
  checkHeaders(headers)
  checkHost(headers, rules.isLoopbackListener, rules.furtherHosts)
  const segments = parsePath(url)
  checkDeclaredLength(headers, rules.bodyBytesMax)
  if (method !== "GET" && method !== "HEAD") checkOrigin(headers)
  return segments
}

function checkHeaders(headers: Headers): void {
  let length = 0
  for (const [name, value] of headers) length += name.length + value.length
  if (length > HEADER_LENGTH_MAX) {
    throw new Problem("header-too-large", `the headers are larger than ${HEADER_LENGTH_MAX} characters`)
  }
  const override = OVERRIDES.find((name) => headers.has(name))
  if (override !== undefined) throw new Problem("method-override", `the header ${override} is not obeyed`)
}
