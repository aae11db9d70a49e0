/**
 * Who may talk to a listener that only this machine reaches. A web page of any origin can make the browser on this machine send
 * requests here; it cannot forge the Host header (which DNS rebinding leaves at the page's own name) nor Origin and Sec-Fetch-Site.
 *
 * Source: RFC 9110, sections 7.2 and 7.4; Fetch standard, "Origin header"; Fetch Metadata, "Sec-Fetch-Site".
 */
import { Problem, quote } from "./problems.ts"

const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?$/i
const LOOPBACK_V4 = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

/** Refuses a Host header that no client of this listener sends. One that is absent (HTTP/1.0) comes from no browser. */
export function checkHost(headers: Headers, isLoopbackListener: boolean, furtherHosts: ReadonlyArray<string>): void {
  const host = headers.get("host")
  if (host === null) return
  const name = HOST.exec(host)?.[1]?.toLowerCase()
  if (name === undefined) throw new Problem("malformed-host", `${quote(host)} is not a host with an optional port`)
  if (!isLoopbackListener || isLoopbackName(name)) return
  if (furtherHosts.some((further) => further.toLowerCase() === name)) return
  throw new Problem("host-not-allowed", `this listener answers for loopback addresses, not for ${quote(host)}`)
}

/** Refuses a request that changes something and was sent by a page of another origin. */
export function checkOrigin(headers: Headers): void {
  const site = headers.get("sec-fetch-site")
  if (site !== null && site !== "same-origin" && site !== "none") {
    throw new Problem("cross-origin", `the request comes from a page of another origin (${quote(site)})`)
  }
  const origin = headers.get("origin")
  if (origin === null) return
  const host = headers.get("host")?.toLowerCase()
  if (host !== undefined && (origin === `http://${host}` || origin === `https://${host}`)) return
  throw new Problem("cross-origin", `the request comes from a page of ${quote(origin)}`)
}

function isLoopbackName(name: string): boolean {
  if (name === "localhost" || name === "[::1]") return true
  const numbers = LOOPBACK_V4.exec(name)?.slice(1) ?? []
  return numbers.length === 3 && numbers.every((number) => Number(number) <= 255)
}
