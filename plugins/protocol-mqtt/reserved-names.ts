/**
 * Topic names that no client may publish to: what begins with a prefix that means something to this broker.
 *
 * Source: MQTT 5.0 section 4.7.2, "the Server SHOULD prevent Clients from using such Topic Names to exchange messages with other Clients".
 * Other names that begin with `$` are names like any others.
 */
const encoder = new TextEncoder()
const DOLLAR = 0x24
/** What the broker says of itself, and forms of subscription. */
const PREFIXES: ReadonlyArray<Uint8Array> = ["$SYS/", "$share/", "$exclusive/", "$replay/"].map((prefix) =>
  encoder.encode(prefix)
)

/** Whether the name in `bytes[start, end)` is reserved. */
export function isReserved(bytes: Uint8Array, start: number, end: number): boolean {
  return bytes[start] === DOLLAR && PREFIXES.some((prefix) => begins(bytes, start, end, prefix))
}

/** The same of a text. */
export function isReservedText(name: string): boolean {
  if (!name.startsWith("$")) return false
  const bytes = encoder.encode(name)
  return isReserved(bytes, 0, bytes.length)
}

function begins(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  return end - start >= prefix.length && prefix.every((byte, index) => bytes[start + index] === byte)
}
