/**
 * One Kafka connection: frames in, handlers, answers out in the order of the requests.
 *
 * Requests that came in one piece are begun one after the other without waiting, so that a Produce behind a long poll is stored at
 * once; their answers wait for their turn. Answers are gathered and written once a turn of the loop.
 *
 * Invariants
 *  - Answers leave in the order of the requests; a request that ends the connection does so after the answers before it.
 *  - At most `requests_in_flight_max` requests are open, and none is begun while the peer does not take its answers: then we stop
 *    reading.
 *  - An idle connection holds no buffer.
 */
import {
  CLOSED,
  InvariantViolation,
  type Principal,
  type Socket,
  type SocketReceiver,
  type Timer,
  type TurnTask
} from "../../core/mod.ts"
import type { Advertised, Broker, Caller } from "./Broker.ts"
import type { CloseCause } from "./Counts.ts"
import { Exchange, type ExchangeOwner } from "./Exchange.ts"
import { unsupportedVersion } from "./handlers/api-versions.ts"
import { handle } from "./handlers/mod.ts"
import { bytesOf, OutputQueue } from "./OutputQueue.ts"
import { throttleMsOf } from "./quotas/throttle.ts"
import { apiOf, apiVersions, fetch } from "./wire/apis.ts"
import { decodeRequest, encodeResponse, MalformedMessage, Reader } from "./wire/codec.ts"
import { beginResponse, decodeRequestHeader, endFrame, FrameReader, type RequestHeader } from "./wire/framing.ts"
import { ResponseWriter } from "./wire/ResponseWriter.ts"

/** Answers are written when this much is gathered, or nothing more is ready. */
const GATHER_SIZE = 262_144
/** The shared output buffer is given back when one answer made it larger than this. */
const OUTPUT_SIZE_KEPT = 2_097_152
/** The tenant of a connection that has not logged in. */
const TENANT = 0

/** Fetches of one connection that are open at once: each may hold an answer of `fetch_size_max`. Clients have one. */
const FETCHES_OPEN_MAX = 2

const OPEN = 0
/** Takes no more requests; ends when the answers are out. */
const CLOSING = 1
/** Ended by us, or gone. */
const ENDED = 2

export class Connection implements SocketReceiver, TurnTask, ExchangeOwner {
  readonly #socket: Socket
  readonly #broker: Broker
  readonly #advertised: Advertised
  readonly #frames: FrameReader
  #caller: Caller | undefined
  #state = OPEN
  #paused = false
  #pumping = false
  #outputDeferred = false
  /** Chunks that came although reading is paused. */
  #chunks: Array<Uint8Array> = []
  #exchanges: Array<Exchange> = []
  #heldBytes = 0
  /** Until when its client is over its quota. */
  #muted: Timer | undefined
  /** What the socket did not take yet. */
  readonly #output = new OutputQueue()
  /** Bytes of stored batches in `#output`, as they count in the sum of the shard until all of it is sent. */
  #fetchesHeldBytes = 0
  /** When the peer last sent something, last took something, and when we ended the stream; ms on the monotonic clock. */
  #lastReceivedMs: number
  #stalledSinceMs = 0
  #endedMs: number | undefined

  constructor(socket: Socket, broker: Broker, advertised: Advertised) {
    this.#socket = socket
    this.#broker = broker
    this.#advertised = advertised
    this.#frames = new FrameReader(broker.settings.request_size_max)
    this.#lastReceivedMs = broker.clock.monotonicMs()
    broker.connections.add(this)
    broker.counts.connectionsAccepted += 1
    broker.counts.connectionsOpen += 1
  }

  /** Requests that are not answered yet. */
  get inFlight(): number {
    return this.#exchanges.length
  }

  get isClosing(): boolean {
    return this.#state !== OPEN
  }

  data(bytes: Uint8Array): void {
    if (this.#state !== OPEN) return
    this.#lastReceivedMs = this.#broker.clock.monotonicMs()
    this.#broker.counts.receivedBytes += bytes.length
    this.#chunks.push(bytes)
    if (!this.#paused) this.#pump()
    this.#account()
  }

  drain(): void {
    if (this.#output.isEmpty) return
    this.#send()
    if (this.#output.isEmpty) this.#flush()
  }

  closed(): void {
    this.#state = ENDED
    this.#muted?.cancel()
    const broker = this.#broker
    broker.connections.delete(this)
    broker.counts.connectionsOpen -= 1
    for (const exchange of this.#exchanges) {
      exchange.waiting?.cancel()
      this.#fetchesHeldBytes += exchange.heldBytes
    }
    this.#exchanges = []
    this.#chunks = []
    this.#output.clear()
    this.#letGo()
    broker.heldBytes -= this.#heldBytes
    this.#heldBytes = 0
  }

  /** The graceful end: no more requests, waiting ones answered now, then the end of the stream. */
  stop(): void {
    if (this.#state !== OPEN) return
    this.#state = CLOSING
    for (const exchange of [...this.#exchanges]) exchange.waiting?.finish()
    this.#deferOutput()
  }

  /** Ends the connection at once, counted by cause. */
  terminate(cause: CloseCause): void {
    if (this.#state === ENDED) return
    this.#broker.counts.close(cause)
    this.#state = ENDED
    this.#socket.terminate()
  }

  /** Ends the connection at once, whatever is still owed; for the end of the graceful stop. */
  cut(): void {
    this.#state = ENDED
    this.#socket.terminate()
  }

  /** Ends a connection that is idle, or takes nothing, for too long; called now and then. */
  sweep(nowMs: number): void {
    const { idle_timeout_ms, stall_timeout_ms } = this.#broker.settings
    if (this.#endedMs !== undefined) {
      if (nowMs - this.#endedMs > stall_timeout_ms) this.#socket.terminate()
    } else if (!this.#output.isEmpty) {
      if (nowMs - this.#stalledSinceMs > stall_timeout_ms) this.terminate("stalled")
    } else if (
      this.#muted === undefined &&
      this.#exchanges.length === 0 &&
      nowMs - this.#lastReceivedMs > idle_timeout_ms
    )
      this.terminate("idle")
  }

  exchangeHolds(bytes: number): void {
    this.#broker.fetchesHeldBytes += bytes
  }

  exchangeDone(): void {
    if (this.#state === ENDED || this.#exchanges[0]?.isDone !== true) return
    this.#deferOutput()
  }

  exchangeRefused(cause: CloseCause): void {
    this.#refuse(cause)
  }

  exchangeFailed(error: unknown): void {
    if (error instanceof InvariantViolation) throw error
    if (this.#state === ENDED) return
    this.#broker.log(`a Kafka request failed: ${error instanceof Error ? error.message : String(error)}`)
    this.terminate("internal")
  }

  endTurn(): void {
    this.#outputDeferred = false
    this.#flush()
  }

  /** Begins the requests that are there, as far as the bounds allow. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#state === OPEN) {
        if (this.#isFull) {
          // Answers that are ready make room without a stop.
          if (this.#output.isEmpty && this.#exchanges[0]?.isDone === true) {
            this.#gather()
            continue
          }
          this.#pause()
          return
        }
        if (this.#frames.next()) {
          this.#begin()
          continue
        }
        const chunk = this.#chunks.shift()
        if (chunk === undefined) {
          this.#resume()
          return
        }
        this.#frames.push(chunk)
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#refuse("frame_size")
    } finally {
      this.#pumping = false
    }
  }

  /** Begins no more requests for a while: its client is over its quota. */
  #mute(throttleMs: number): void {
    this.#muted?.cancel()
    this.#broker.counts.throttled += 1
    this.#muted = this.#broker.clock.after(throttleMs, () => {
      this.#muted = undefined
      this.#lastReceivedMs = this.#broker.clock.monotonicMs()
      if (this.#state !== OPEN) return
      this.#pump()
      this.#account()
    })
  }

  get #isFull(): boolean {
    const exchanges = this.#exchanges
    if (this.#muted !== undefined) return true
    if (!this.#output.isEmpty || exchanges.length >= this.#broker.settings.requests_in_flight_max) return true
    return exchanges.length >= FETCHES_OPEN_MAX && exchanges.filter(isFetch).length >= FETCHES_OPEN_MAX
  }

  /** Begins the request in the frame that was just cut. */
  #begin(): void {
    const { bytes, start, end } = this.#frames
    const reader = new Reader(bytes, start, end)
    let header: RequestHeader
    try {
      header = decodeRequestHeader(reader, apiOf)
    } catch (error) {
      this.#malformed(error, "malformed_header")
      return
    }
    const api = apiOf(header.apiKey)
    if (api === undefined) {
      this.#refuse("unknown_api")
      return
    }
    this.#broker.counts.request(api.key)
    const version = header.apiVersion
    const caller = this.#callerOf(header.clientId ?? "")
    if (version < api.versionMin || version > api.versionMax) {
      if (api === apiVersions) {
        const exchange = new Exchange(apiVersions, 0, header.correlationId, caller, this)
        this.#exchanges.push(exchange as unknown as Exchange)
        exchange.complete(unsupportedVersion(this.#broker))
      } else this.#refuse("unsupported_version")
      return
    }
    let request: unknown
    try {
      request = decodeRequest(api, version, reader)
    } catch (error) {
      this.#malformed(error, "malformed_body")
      return
    }
    const exchange = new Exchange(api, version, header.correlationId, caller, this)
    exchange.requestBytes = end - start
    this.#exchanges.push(exchange)
    try {
      handle(exchange, request, this.#broker)
    } catch (error) {
      this.exchangeFailed(error)
    }
  }

  #malformed(error: unknown, cause: CloseCause): void {
    if (!(error instanceof MalformedMessage)) throw error
    this.#refuse(cause)
  }

  #callerOf(clientIdentifier: string): Caller {
    const known = this.#caller
    if (known?.principal.clientIdentifier === clientIdentifier) return known
    const principal: Principal = { tenant: TENANT, user: "", clientIdentifier, peerAddress: this.#socket.peerAddress }
    this.#caller = { principal, advertised: this.#advertised }
    return this.#caller
  }

  /** Takes no more requests; the connection ends after the answers that are owed. */
  #refuse(cause: CloseCause): void {
    if (this.#state !== OPEN) return
    this.#broker.counts.close(cause)
    this.#state = CLOSING
    this.#chunks = []
    this.#deferOutput()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  /** Keeps the shard's sum of bytes in unfinished requests; above the bound the connection that overran it goes. */
  #account(): void {
    const broker = this.#broker
    const before = this.#heldBytes
    this.#heldBytes = this.#state === OPEN ? this.#frames.heldBytes + bytesOf(this.#chunks) : 0
    broker.heldBytes += this.#heldBytes - before
    if (broker.heldBytes > broker.settings.requests_held_max && this.#heldBytes > before) this.terminate("held_bytes")
  }

  #deferOutput(): void {
    if (this.#outputDeferred) return
    this.#outputDeferred = true
    this.#broker.turn.deferOutput(this)
  }

  /** Writes the answers that are ready and in order, then goes on reading. */
  #flush(): void {
    while (this.#state !== ENDED && this.#output.isEmpty && this.#exchanges[0]?.isDone === true) this.#gather()
    if (this.#state === CLOSING) {
      if (this.#exchanges.length > 0 || !this.#output.isEmpty) return
      this.#state = ENDED
      this.#endedMs = this.#broker.clock.monotonicMs()
      this.#socket.end()
    } else if (this.#state === OPEN && this.#paused) {
      this.#pump()
      this.#account()
    }
  }

  /** Builds and writes what is ready, about {@link GATHER_SIZE} at most. */
  #gather(): void {
    const broker = this.#broker
    const writer = broker.output
    writer.clear()
    try {
      do {
        const exchange = this.#exchanges.shift()
        if (exchange === undefined) continue
        const throttleTimeMs = throttleMsOf(exchange, broker)
        if (throttleTimeMs > 0) this.#mute(throttleTimeMs)
        let { response } = exchange
        if (response === undefined) continue
        if (throttleTimeMs > 0) response = { ...response, throttleTimeMs }
        this.#fetchesHeldBytes += exchange.heldBytes
        if (exchange.lease !== undefined) this.#output.pushLease(exchange.lease)
        const { viewBytes } = writer
        const start = beginResponse(writer, exchange.api, exchange.version, exchange.correlationId)
        encodeResponse(exchange.api, exchange.version, writer, response)
        endFrame(writer, start, writer.viewBytes - viewBytes)
      } while (writer.byteLength < GATHER_SIZE && this.#exchanges[0]?.isDone === true)
    } catch (error) {
      this.exchangeFailed(error)
      return
    }
    this.#output.pushWritten(writer)
    writer.clear()
    this.#send()
    if (writer.bytes.length > OUTPUT_SIZE_KEPT) broker.output = new ResponseWriter(GATHER_SIZE)
  }

  /** Writes what the socket takes; the rest stays. */
  #send(): void {
    const taken = this.#output.write(this.#socket)
    if (taken === CLOSED) return
    this.#broker.counts.sentBytes += taken
    if (this.#output.isEmpty) this.#letGo()
    else if (taken > 0 || this.#stalledSinceMs === 0) this.#stalledSinceMs = this.#broker.clock.monotonicMs()
  }

  /** Nothing of stored batches is held any more. */
  #letGo(): void {
    this.#broker.fetchesHeldBytes -= this.#fetchesHeldBytes
    this.#fetchesHeldBytes = 0
    this.#stalledSinceMs = 0
  }
}

const isFetch = (exchange: Exchange): boolean => exchange.api.key === fetch.key
