/**
 * The PROXY protocol, versions 1 and 2: a load balancer says in front of a connection's bytes who the client is.
 *
 * Source: "The PROXY protocol", HAProxy, 2020/03/05, sections 2.1 and 2.2.
 * Invariants
 *  - Whoever accepts sees the client's address and none of the header's bytes. Nobody is told of a connection before its header is whole.
 *  - A connection without a right header, or whose header takes longer than {@link HEADER_MS}, is cut: on such a listener only a proxy may
 *    connect, and what others say of themselves must not count.
 *  - At most {@link HEADER_BYTES_MAX} bytes are kept for a header.
 */
import type { ClockShape } from "./Clock.ts"
import type { Accept, Socket, SocketReceiver } from "./Net.ts"

/** A header that is longer is refused: 16 bytes and addresses, and room for what proxies add. */
export const HEADER_BYTES_MAX = 4_096
export const HEADER_MS = 5_000

/** "PROXY" in the first version, at most 107 bytes with its CR LF. */
const TEXT = [0x50, 0x52, 0x4f, 0x58, 0x59]
const TEXT_BYTES_MAX = 107
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const FIXED_BYTES = 16
const LOCAL = 0
const PROXY = 1
const INET = 1
const INET6 = 2

/** What a header says. */
export interface ProxyHeader {
  /** Its bytes. */
  readonly length: number
  /** The client's address; undefined where the proxy speaks for itself, or does not say. */
  readonly address: string | undefined
}

/** Reads the header at the start of `bytes`; "more" where it is not whole yet, "wrong" where there is none. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader | "more" | "wrong" {
  if (bytes.length === 0) return "more"
  if (bytes[0] === TEXT[0]) return readText(bytes)
  for (let index = 0; index < SIGNATURE.length; index++) {
    if (index >= bytes.length) return "more"
    if (bytes[index] !== SIGNATURE[index]) return "wrong"
  }
  return readBinary(bytes)
}

function readText(bytes: Uint8Array): ProxyHeader | "more" | "wrong" {
  for (let index = 0; index < TEXT.length; index++) {
    if (index >= bytes.length) return "more"
    if (bytes[index] !== TEXT[index]) return "wrong"
  }
  const end = bytes.indexOf(0x0a)
  if (end < 0) return bytes.length < TEXT_BYTES_MAX ? "more" : "wrong"
  if (end >= TEXT_BYTES_MAX || bytes[end - 1] !== 0x0d) return "wrong"
  const line = String.fromCharCode(...bytes.subarray(0, end - 1))
  const length = end + 1
  if (/^PROXY UNKNOWN(?: .*)?$/.test(line)) return { length, address: undefined }
  const parts = /^PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})$/.exec(line)
  const [, family, source, target, from, to] = parts ?? []
  if (source === undefined || target === undefined || Number(from) > 65_535 || Number(to) > 65_535) return "wrong"
  const isRight = family === "TCP4" ? isIpv4 : isIpv6
  return isRight(source) && isRight(target) ? { length, address: source } : "wrong"
}

function readBinary(bytes: Uint8Array): ProxyHeader | "more" | "wrong" {
  if (bytes.length < FIXED_BYTES) return "more"
  const version = (bytes[12] ?? 0) >>> 4
  const command = (bytes[12] ?? 0) & 15
  const family = (bytes[13] ?? 0) >>> 4
  const length = FIXED_BYTES + (((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0))
  if (version !== 2 || command > PROXY || length > HEADER_BYTES_MAX) return "wrong"
  if (bytes.length < length) return "more"
  // The proxy's own connection, a check of health perhaps; or a family that has no address for us.
  if (command === LOCAL || (family !== INET && family !== INET6)) return { length, address: undefined }
  const size = family === INET ? 4 : 16
  if (length < FIXED_BYTES + 2 * size + 4) return "wrong"
  const source = bytes.subarray(FIXED_BYTES, FIXED_BYTES + size)
  return { length, address: family === INET ? source.join(".") : textOfIpv6(source) }
}

function isIpv4(text: string): boolean {
  const parts = text.split(".")
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

function isIpv6(text: string): boolean {
  return text.includes(":") && URL.canParse(`http://[${text}]/`)
}

/** In the form of RFC 5952, as the URL standard writes it. */
function textOfIpv6(bytes: Uint8Array): string {
  const groups: Array<string> = []
  for (let at = 0; at < 16; at += 2) groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16))
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1)
}

/** Accepts connections that a proxy speaks in front of. */
export function behindProxy(accept: Accept, clock: ClockShape): Accept {
  return (socket) => new ProxiedConnection(socket, accept, clock)
}

/** A connection until its header is whole, and then the way to its owner. */
class ProxiedConnection implements SocketReceiver {
  readonly #socket: Socket
  readonly #accept: Accept
  #timer: { cancel(): void } | undefined
  #head: Uint8Array | undefined = new Uint8Array(0)
  #receiver: SocketReceiver | undefined

  constructor(socket: Socket, accept: Accept, clock: ClockShape) {
    this.#socket = socket
    this.#accept = accept
    this.#timer = clock.after(HEADER_MS, () => socket.terminate())
  }

  data(bytes: Uint8Array): void {
    if (this.#head === undefined) {
      this.#receiver?.data(bytes)
      return
    }
    const head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
    const header = readProxyHeader(head)
    if (header === "more") {
      this.#head = head
      return
    }
    this.#stopWaiting()
    this.#head = undefined
    if (header === "wrong") {
      this.#socket.terminate()
      return
    }
    this.#receiver = this.#accept(header.address === undefined ? this.#socket : new Named(this.#socket, header.address))
    if (head.length > header.length) this.#receiver.data(head.slice(header.length))
  }

  drain(): void {
    this.#receiver?.drain()
  }

  closed(): void {
    this.#stopWaiting()
    const receiver = this.#receiver
    this.#receiver = undefined
    receiver?.closed()
  }

  #stopWaiting(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}

/** A socket with the address that the proxy gave. */
class Named implements Socket {
  readonly peerAddress: string
  readonly #socket: Socket

  constructor(socket: Socket, peerAddress: string) {
    this.#socket = socket
    this.peerAddress = peerAddress
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    return this.#socket.write(bytes, start, end)
  }
  pause(): void {
    this.#socket.pause()
  }
  resume(): void {
    this.#socket.resume()
  }
  end(): void {
    this.#socket.end()
  }
  terminate(): void {
    this.#socket.terminate()
  }
}
