/**
 * The request that opens a WebSocket.
 *
 * Source: RFC 6455, sections 4.1 and 4.2.1; RFC 9112, sections 2 to 5, of which it is one request without a body.
 */

export interface Head {
  readonly pathname: string
  /** By lower-case name; what came twice is joined by ", ". */
  readonly headers: ReadonlyMap<string, string>
  /** The client's nonce; undefined = this is no proper WebSocket handshake of version 13. */
  readonly key: string | undefined
}

const LINE = /^GET (\/[!-~]*) HTTP\/1\.1$/
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/
/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{21}[AQgw]==$/
const CR = 13
const LF = 10

/** The position after the empty line that ends the head, looked for from `start` on; -1 = it has not come. */
export function headEnd(bytes: Uint8Array, start: number): number {
  for (let position = start + 3; position < bytes.length; position++) {
    if (
      bytes[position] === LF &&
      bytes[position - 1] === CR &&
      bytes[position - 2] === LF &&
      bytes[position - 3] === CR
    ) {
      return position + 1
    }
  }
  return -1
}

/** The head in `bytes[0, end)`; undefined = it is none. */
export function readHead(bytes: Uint8Array, end: number): Head | undefined {
  const [line = "", ...fields] = Buffer.from(bytes.buffer, bytes.byteOffset, end - 4)
    .toString("latin1")
    .split("\r\n")
  const target = LINE.exec(line)?.[1]
  if (target === undefined) return undefined
  const headers = new Map<string, string>()
  for (const field of fields) {
    const [, name = "", value = ""] = FIELD.exec(field) ?? []
    if (name === "") return undefined
    const lower = name.toLowerCase()
    const before = headers.get(lower)
    headers.set(lower, before === undefined ? value : `${before}, ${value}`)
  }
  if (!headers.has("host")) return undefined
  const key = headers.get("sec-websocket-key") ?? ""
  const isUpgrade = /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.get("connection") ?? "")
  const isProper = isUpgrade && headers.get("sec-websocket-version") === "13" && KEY.test(key)
  return { pathname: target.split("?")[0] ?? "", headers, key: isProper ? key : undefined }
}
