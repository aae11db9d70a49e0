/**
 * The network of a simulation: connections in memory whose bytes arrive late and in pieces of any size, and whose writes are taken
 * only in part when the seed says so.
 *
 * Invariants
 *  - The contract of `Net.ts`, to the letter: nothing is called after `closed`, which is called once; bytes keep their order and
 *    belong to the receiver; `drain` follows every write that was not taken whole, unless the connection ends first.
 *  - An end of stream arrives after the bytes before it, also where the receiver pauses; a lost connection may overtake them.
 *  - At most the connection's window (bytes, drawn from the seed) is on its way in one direction.
 */
import { Effect, type Scope } from "effect"
import {
  type Accept,
  CLOSED,
  ConnectError,
  type HttpHandler,
  ListenError,
  type Listening,
  type NetShape,
  parseAddress,
  type Socket,
  type SocketReceiver
} from "./Net.ts"
import type { Xoshiro128 } from "./Xoshiro128.ts"

export interface SimulatedNetOptions {
  /** Bytes arrive up to so many milliseconds after they were written. */
  readonly delayMsMax?: number
  /** Smallest and largest window of a connection, bytes. */
  readonly windowBytesMin?: number
  readonly windowBytesMax?: number
  /** Of eight writes, how many are taken only in part though there is room. */
  readonly partialWritesOfEight?: number
}

/** What the network needs of its simulation. */
export interface SimulatedNetHost {
  after(delayMs: number, detail: number, task: () => void): void
  trace(kind: number, connection: number, bytes?: Uint8Array): void
}

/** Bytes that a receiver is handed at once, at most: `SocketReceiver.data`. */
const PIECE_BYTES_MAX = 524_288
const FIRST_PORT = 20_000

/** Kinds of network events in the trace. */
const CONNECT = 1
const WRITE = 2
const DATA = 3
const DRAIN = 4
const END = 5
const LOST = 6

interface Limits {
  readonly delayMsMax: number
  readonly partialWritesOfEight: number
}

/** One end of a connection. What it writes lies in `outgoing` until the other end has it. */
export class SimulatedSocket implements Socket {
  readonly peerAddress: string
  readonly number: number
  readonly windowBytes: number
  peer: SimulatedSocket | undefined
  receiver: SocketReceiver | undefined
  isPaused = false
  /** Told of bytes that this end wrote, just before the other end has them. */
  arriving: ((count: number) => void) | undefined
  /** Set while nobody has been asked yet who receives this end's bytes. */
  #isUnclaimed = false
  readonly #outgoing: Array<Uint8Array> = []
  #outgoingBytes = 0
  #isOpen = true
  #hasEnded = false
  #isClosed = false
  #isDeliveryDue = false
  #owesDrain = false
  #isDrainDue = false
  readonly #chance: Xoshiro128
  readonly #host: SimulatedNetHost
  readonly #limits: Limits

  constructor(
    peerAddress: string,
    number: number,
    windowBytes: number,
    chance: Xoshiro128,
    host: SimulatedNetHost,
    limits: Limits
  ) {
    this.peerAddress = peerAddress
    this.number = number
    this.windowBytes = windowBytes
    this.#chance = chance
    this.#host = host
    this.#limits = limits
  }

  /** Whether `closed` was called on this end's receiver. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Bytes that were taken and have not arrived. */
  get bytesUnderway(): number {
    return this.#outgoingBytes
  }

  /** Holds back what arrives until {@link SimulatedSocket.claim}. */
  unclaimed(): void {
    this.#isUnclaimed = true
  }

  /** Asks who receives this end's bytes, as a listener does; a connection that is gone by then is never seen. */
  claim(accept: Accept): void {
    this.#isUnclaimed = false
    if (this.#isClosed) return
    const receiver = accept(this)
    if (this.#isClosed) receiver.closed()
    else this.receiver = receiver
    const { peer } = this
    if (peer !== undefined) peer.#deliverLater()
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#isOpen) return CLOSED
    const wanted = end - start
    let taken = Math.min(wanted, this.windowBytes - this.#outgoingBytes)
    if (taken > 0 && this.#chance.chance(this.#limits.partialWritesOfEight, 8)) {
      // Nothing, one byte and two are where mistakes live.
      taken = this.#chance.below((this.#chance.chance(1, 2) ? Math.min(taken, 2) : taken) + 1)
    }
    const copy = bytes.slice(start, start + taken)
    this.#host.trace(WRITE, this.number, copy)
    if (taken > 0) {
      this.#outgoing.push(copy)
      this.#outgoingBytes += taken
      this.#deliverLater()
    }
    if (taken < wanted) {
      this.#owesDrain = true
      this.#drainLater()
    }
    return taken
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    const { peer } = this
    if (peer !== undefined) peer.#deliverLater()
  }

  end(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#hasEnded = true
    this.#host.trace(END, this.number)
    this.#deliverLater()
  }

  terminate(): void {
    if (this.#isClosed) return
    this.#host.trace(LOST, this.number)
    this.#isOpen = false
    this.#drop()
    const { peer } = this
    this.#host.after(this.#delayMs(), this.number, () => {
      if (peer !== undefined) peer.#lost()
    })
    // The runtime may tell at once, inside the call, or later.
    if (this.#chance.chance(1, 2)) this.#close()
    else this.#host.after(0, this.number, () => this.#close())
  }

  #lost(): void {
    this.#isOpen = false
    this.#drop()
    this.#close()
  }

  #drop(): void {
    this.#outgoing.length = 0
    this.#outgoingBytes = 0
    this.#hasEnded = false
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isOpen = false
    this.receiver?.closed()
    this.receiver = undefined
  }

  #delayMs(): number {
    return this.#chance.below(this.#limits.delayMsMax * 8 + 1) / 8
  }

  #deliverLater(): void {
    if (this.#isDeliveryDue) return
    this.#isDeliveryDue = true
    this.#host.after(this.#delayMs(), this.number, () => {
      this.#isDeliveryDue = false
      this.#deliver()
    })
  }

  /** Hands the other end one piece of what is under way. */
  #deliver(): void {
    const { peer } = this
    if (peer === undefined || peer.#isClosed || peer.#isUnclaimed || peer.isPaused) return
    if (this.#outgoingBytes === 0) {
      if (this.#hasEnded) this.#arriveEnd(peer)
      return
    }
    const piece = this.#takePiece()
    if (this.#owesDrain) this.#drainLater()
    if (this.#outgoingBytes > 0 || this.#hasEnded) this.#deliverLater()
    this.#host.trace(DATA, peer.number, piece)
    this.arriving?.(piece.length)
    peer.receiver?.data(piece)
  }

  #arriveEnd(peer: SimulatedSocket): void {
    this.#hasEnded = false
    // What the other end was writing still arrives, then its end.
    peer.end()
    peer.#close()
    if (!peer.#hasEnded && peer.#outgoingBytes === 0)
      this.#host.after(this.#delayMs(), this.number, () => this.#close())
  }

  #takePiece(): Uint8Array {
    const most = Math.min(this.#outgoingBytes, PIECE_BYTES_MAX)
    const style = this.#chance.below(4)
    const length =
      style === 0
        ? 1
        : style === 1
          ? 1 + this.#chance.below(Math.min(most, 16))
          : style === 2
            ? most
            : 1 + this.#chance.below(most)
    const piece = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const first = this.#outgoing[0]
      if (first === undefined) break
      const count = Math.min(first.length, length - filled)
      piece.set(first.subarray(0, count), filled)
      filled += count
      if (count === first.length) this.#outgoing.shift()
      else this.#outgoing[0] = first.subarray(count)
    }
    this.#outgoingBytes -= length
    return piece
  }

  #drainLater(): void {
    if (this.#isDrainDue || this.#outgoingBytes > this.windowBytes / 2) return
    this.#isDrainDue = true
    this.#host.after(this.#delayMs(), this.number, () => {
      this.#isDrainDue = false
      if (!this.#isOpen || !this.#owesDrain) return
      this.#owesDrain = false
      this.#host.trace(DRAIN, this.number)
      this.receiver?.drain()
    })
  }
}

export class SimulatedNet implements NetShape {
  readonly #accepts = new Map<string, Accept>()
  readonly #handlers = new Map<string, HttpHandler>()
  readonly #chance: Xoshiro128
  readonly #host: SimulatedNetHost
  readonly #options: Required<SimulatedNetOptions>
  #nextPort = FIRST_PORT
  #nextConnection = 1

  constructor(chance: Xoshiro128, host: SimulatedNetHost, options: SimulatedNetOptions) {
    this.#chance = chance
    this.#host = host
    this.#options = {
      delayMsMax: options.delayMsMax ?? 4,
      windowBytesMin: options.windowBytesMin ?? 256,
      windowBytesMax: options.windowBytesMax ?? 65_536,
      partialWritesOfEight: options.partialWritesOfEight ?? 2
    }
  }

  listenQuic(address: string): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return Effect.fail(new ListenError({ address, reason: "a simulation has no QUIC" }))
  }

  listenUnix(path: string): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return Effect.fail(new ListenError({ address: path, reason: "a simulation has no unix sockets" }))
  }

  listenTcp(address: string, accept: Accept): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return this.#listen(address, this.#accepts, accept)
  }

  /** Frames have no borders here: a client's bytes are what its binary frames hold. */
  listenWebSocket(
    address: string,
    _options: unknown,
    accept: Accept
  ): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return this.#listen(address, this.#accepts, accept)
  }

  serveHttp(address: string, handler: HttpHandler): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return this.#listen(address, this.#handlers, handler)
  }

  /** Connects to a listener; `accept` decides who receives the client's side. Undefined where nobody listens. */
  connect(address: string, accept: Accept): SimulatedSocket | undefined {
    const listener = this.#accepts.get(address)
    if (listener === undefined) return undefined
    const { client, server } = this.pair()
    server.unclaimed()
    client.claim(accept)
    this.#host.after(this.#delayMs(), server.number, () => server.claim(listener))
    return client
  }

  connectTcp(address: string, accept: Accept): Effect.Effect<void, ConnectError> {
    return Effect.suspend(() =>
      this.connect(address, accept) === undefined
        ? Effect.fail(new ConnectError({ address, reason: "nobody listens there" }))
        : Effect.void
    )
  }

  /** Two joined sockets without a listener; set the receivers yourself. */
  pair(): { readonly client: SimulatedSocket; readonly server: SimulatedSocket } {
    const number = this.#nextConnection
    this.#nextConnection += 2
    const client = this.#socket(number, "10.0.0.1")
    const server = this.#socket(number + 1, "10.0.0.2")
    client.peer = server
    server.peer = client
    this.#host.trace(CONNECT, number)
    return { client, server }
  }

  /** Asks an HTTP listener. */
  async request(address: string, request: Request, peerAddress = "10.0.0.2"): Promise<Response> {
    const handler = this.#handlers.get(address)
    if (handler === undefined) throw new Error(`nobody listens on ${address}`)
    return handler(request, peerAddress)
  }

  #socket(number: number, peerAddress: string): SimulatedSocket {
    const { windowBytesMin, windowBytesMax } = this.#options
    const window = windowBytesMin + this.#chance.below(windowBytesMax - windowBytesMin + 1)
    return new SimulatedSocket(peerAddress, number, window, this.#chance, this.#host, this.#options)
  }

  #delayMs(): number {
    return this.#chance.below(this.#options.delayMsMax * 8 + 1) / 8
  }

  #listen<Value>(
    address: string,
    listeners: Map<string, Value>,
    value: Value
  ): Effect.Effect<Listening, ListenError, Scope.Scope> {
    const opened = Effect.suspend(() => {
      const parsed = parseAddress(address)
      if (parsed === undefined) return Effect.fail(new ListenError({ address, reason: 'expected "host:port"' }))
      const port = parsed.port === 0 ? this.#nextPort++ : parsed.port
      const real = `${address.slice(0, address.lastIndexOf(":"))}:${port}`
      if (this.#accepts.has(real) || this.#handlers.has(real)) {
        return Effect.fail(new ListenError({ address, reason: "the port is in use" }))
      }
      listeners.set(real, value)
      return Effect.succeed({ address: real })
    })
    return Effect.acquireRelease(opened, (listening) => Effect.sync(() => void listeners.delete(listening.address)))
  }
}
