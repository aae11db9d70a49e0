/**
 * QUIC listeners on node:quic, which the runtime marks as experimental: the first bidirectional stream of a session carries MQTT.
 *
 * Source: RFC 9000; EMQX's "MQTT over QUIC", single stream mode, with the application protocol "mqtt". TLS 1.3 is part of QUIC.
 * Invariants
 *  - A session has one stream; others are reset. One that has opened none within {@link STREAM_MS} is ended.
 *  - Nobody is told of a session before its handshake is done: a stream comes after it.
 */
import { createPrivateKey } from "node:crypto"
import type { QuicEndpoint, QuicSession, QuicStream } from "node:quic"
import { Effect, type Scope } from "effect"
import { formatAddress, type OnFault, openListenerLate } from "../listening.ts"
import type { Accept, ListenError, Listening, TlsSource } from "../Net.ts"
import { type ByteStream, StreamConnection } from "../StreamConnection.ts"

/** How long a peer may take for its handshake and its stream. */
const STREAM_MS = 10_000
/** Bytes of one write: less than what a stream buffers. */
const WRITE_BYTES_MAX = 32_768

/** How a writer is asked to tell when it has room: node:stream/iter. */
const DRAINABLE: unique symbol = Symbol.for("Stream.drainableProtocol") as never

/** What is used of a stream's writer. */
interface StreamWriter {
  /** Bytes that it has room for; null = it is closed. */
  readonly desiredSize: number | null
  writeSync(bytes: Uint8Array): boolean
  [DRAINABLE](): Promise<unknown> | null
}

/** Listens on `address`, a UDP port, for the life of the scope. */
export function listenQuic(
  address: string,
  accept: Accept,
  tls: TlsSource,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListenerLate(address, async (host, port) => {
    // Only where it is asked for: the runtime warns of it as it is loaded.
    const quic = await import("node:quic")
    const family = host.includes(":") ? "ipv6" : "ipv4"
    const endpoint = await quic.listen((session) => new Session(session, accept, onFault), {
      endpoint: { address: { address: host === "localhost" ? "127.0.0.1" : host, port, family, flowlabel: 0 } },
      alpn: ["mqtt"],
      sni: contextsOf(tls)
    })
    tls.onChange(() => endpoint.setSNIContexts(contextsOf(tls), { replace: true }))
    return endpoint
  })
  return Effect.acquireRelease(opened, (endpoint) => Effect.promise(() => closed(endpoint))).pipe(
    Effect.map((endpoint) => ({ address: formatAddress(address, endpoint.address?.port ?? 0) }))
  )
}

/** What the endpoint shows, whatever name a client asks for. */
function contextsOf({ current: { certificate, privateKey, clientCa, requiresClient } }: TlsSource) {
  const client = clientCa === "" ? {} : { ca: [Buffer.from(clientCa)], verifyClient: requiresClient }
  return { "*": { keys: [createPrivateKey(privateKey)], certs: [Buffer.from(certificate)], ...client } }
}

/** Takes no new session; those that are there belong to their owners, and end the endpoint when they end. */
async function closed(endpoint: QuicEndpoint): Promise<void> {
  const ended = endpoint.close()
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))])
}

/** A session until it has its stream, and its end. */
class Session {
  readonly #session: QuicSession
  #timer: ReturnType<typeof setTimeout> | undefined
  #hasStream = false

  constructor(session: QuicSession, accept: Accept, onFault: OnFault) {
    this.#session = session
    this.#timer = setTimeout(() => session.destroy(), STREAM_MS)
    session.onstream = (stream) => {
      if (this.#hasStream || stream.direction !== "bidi") {
        stream.destroy()
        return
      }
      this.#hasStream = true
      this.#stopWaiting()
      const bytes = new StreamBytes(stream, session)
      new StreamConnection(bytes, session.path?.remote.address ?? "", onFault).start(accept)
    }
    const ended = (): void => this.#stopWaiting()
    this.#session.closed.then(ended, ended)
    // A handshake that fails is the peer's affair.
    this.#session.opened.catch(() => {})
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** The stream as bytes that are asked for. */
class StreamBytes implements ByteStream {
  readonly #stream: QuicStream
  readonly #session: QuicSession
  readonly #chunks: AsyncIterator<Uint8Array | ReadonlyArray<Uint8Array>>
  /** What came and was not read yet. */
  #rest: Array<Uint8Array> = []

  constructor(stream: QuicStream, session: QuicSession) {
    this.#stream = stream
    this.#session = session
    this.#chunks = (stream as AsyncIterable<Uint8Array | ReadonlyArray<Uint8Array>>)[Symbol.asyncIterator]()
    stream.closed.catch(() => {})
  }

  async read(target: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next()
      if (done === true) return null
      this.#rest = (value instanceof Uint8Array ? [value] : [...value]).filter(({ length }) => length > 0)
    }
    let count = 0
    while (count < target.length) {
      const first = this.#rest[0]
      if (first === undefined) break
      const taken = Math.min(first.length, target.length - count)
      target.set(first.subarray(0, taken), count)
      count += taken
      if (taken === first.length) this.#rest.shift()
      else this.#rest[0] = first.subarray(taken)
    }
    return count
  }

  async write(bytes: Uint8Array): Promise<number> {
    const writer = this.#stream.writer as unknown as StreamWriter
    while ((writer.desiredSize ?? 0) <= 0) await writer[DRAINABLE]()
    const piece = bytes.subarray(0, WRITE_BYTES_MAX)
    if (!writer.writeSync(piece)) throw new Error("the stream takes no more")
    return piece.length
  }

  async closeWrite(): Promise<void> {
    await this.#stream.writer.end()
  }

  close(): void {
    if (!this.#stream.destroyed) this.#stream.destroy()
    // What was sent last is acknowledged first.
    void this.#session.close().catch(() => {})
  }
}
