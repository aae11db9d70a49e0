/**
 * Connections passed from the shard that accepted them to the shard that owns their client: bytes over the Link, both ways, with
 * a window so that neither a fast peer nor a slow one fills memory.
 *
 * Invariants
 *  - Bytes keep their order; after a close nothing follows.
 *  - At most {@link WINDOW_BYTES} a direction, and one piece as the socket reads it, are on their way or held for a connection.
 */
import type { Accept, Socket, SocketReceiver } from "../platform/Net.ts"
import { CLOSED } from "../platform/Net.ts"
import type { ByteReader } from "./bytes.ts"
import { CHANNEL_CONNECTION, type LinkPort } from "./LinkPort.ts"

/** Bytes a direction before the sender must wait. */
export const WINDOW_BYTES = 1_048_576

const OPEN = 0
const DATA = 1
const CLOSE = 2
const TERMINATE = 3
const TAKEN = 4
/** Set in a frame's kind when it goes from the accepting side to the owner: both sides number their own connections. */
const TO_OWNER = 8

/** The accepting end: moves bytes between the real socket and the Link. */
class Acceptor implements SocketReceiver {
  readonly connections: Connections
  readonly target: number
  readonly id: number
  readonly socket: Socket
  /** Bytes of the peer that the owner has not taken yet. */
  unread = 0
  paused = false
  /** Bytes for the peer that the socket did not take, in order. */
  readonly held: Array<Uint8Array> = []
  ending = false

  constructor(connections: Connections, target: number, id: number, socket: Socket) {
    this.connections = connections
    this.target = target
    this.id = id
    this.socket = socket
  }

  data(bytes: Uint8Array): void {
    this.connections.send(this.target, this.id, DATA | TO_OWNER, bytes, 0, bytes.length)
    this.unread += bytes.length
    if (this.unread >= WINDOW_BYTES && !this.paused) {
      this.paused = true
      this.socket.pause()
    }
  }

  drain(): void {
    while (this.held.length > 0) {
      const bytes = this.held[0]
      if (bytes === undefined) break
      const taken = this.socket.write(bytes, 0, bytes.length)
      if (taken === CLOSED) return
      if (taken > 0) this.connections.taken(this.target, this.id, TAKEN | TO_OWNER, taken)
      if (taken < bytes.length) {
        if (taken > 0) this.held[0] = bytes.subarray(taken)
        return
      }
      this.held.shift()
    }
    if (this.ending) this.socket.end()
  }

  closed(): void {
    this.connections.acceptorClosed(this)
  }

  /** The owner took `count` bytes. */
  credit(count: number): void {
    this.unread -= count
    if (this.paused && this.unread < WINDOW_BYTES / 2) {
      this.paused = false
      this.socket.resume()
    }
  }

  write(bytes: Uint8Array): void {
    this.held.push(bytes)
    if (this.held.length === 1) this.drain()
  }
}

/** The owner's end: a socket whose wire is the Link. */
class ForwardedSocket implements Socket {
  readonly peerAddress: string
  readonly connections: Connections
  readonly from: number
  readonly id: number
  receiver: SocketReceiver | undefined
  open = true
  terminated = false
  /** The accepting end has said that nothing more comes. */
  gone = false
  /** Bytes written that the real socket has not taken. */
  unsent = 0
  blocked = false
  paused = false
  /** Bytes that came while paused. */
  readonly waiting: Array<Uint8Array> = []

  constructor(connections: Connections, from: number, id: number, peerAddress: string) {
    this.connections = connections
    this.from = from
    this.id = id
    this.peerAddress = peerAddress
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.open) return CLOSED
    const count = Math.min(end - start, WINDOW_BYTES - this.unsent)
    if (count > 0) {
      this.connections.send(this.from, this.id, DATA, bytes, start, start + count)
      this.unsent += count
    }
    if (count < end - start) this.blocked = true
    return Math.max(0, count)
  }

  credit(count: number): void {
    this.unsent -= count
    if (this.blocked && this.unsent < WINDOW_BYTES / 2) {
      this.blocked = false
      this.receiver?.drain()
    }
  }

  data(bytes: Uint8Array): void {
    if (this.paused) {
      this.waiting.push(bytes)
      return
    }
    this.connections.taken(this.from, this.id, TAKEN, bytes.length)
    this.receiver?.data(bytes)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    while (!this.paused) {
      const bytes = this.waiting.shift()
      if (bytes === undefined) break
      this.data(bytes)
    }
    // Where it has paused again it has more to do with what it had.
    if (this.gone && !this.paused) this.#closed()
  }

  end(): void {
    if (this.open || this.gone) this.#tell(CLOSE)
  }

  terminate(): void {
    // Also after an end: what the peer does not read would hold the connection for ever.
    if (!this.terminated) this.#tell(TERMINATE)
    this.terminated = true
  }

  /** The peer is gone. What it sent before is still read, as from a socket of our own, which tells of an end when it is read on. */
  lost(): void {
    this.open = false
    this.gone = true
    if (!this.paused) this.#closed()
    // It may have paused until it can write again: it finds that it cannot.
    else if (this.blocked) this.receiver?.drain()
  }

  #tell(kind: number): void {
    this.open = false
    this.waiting.length = 0
    if (this.gone) this.#closed()
    else this.connections.send(this.from, this.id, kind, NO_BYTES, 0, 0)
  }

  #closed(): void {
    const { receiver } = this
    this.receiver = undefined
    receiver?.closed()
  }
}

const NO_BYTES = new Uint8Array(0)
/** Receives nothing: of a service that is not there. */
const NOBODY: SocketReceiver = { data: () => {}, drain: () => {}, closed: () => {} }

export class Connections {
  readonly #port: LinkPort
  readonly #services = new Map<string, Accept>()
  readonly #accepted = new Map<number, Acceptor>()
  readonly #owned = new Map<string, ForwardedSocket>()
  #next = 1

  constructor(port: LinkPort) {
    this.#port = port
    port.handle(CHANNEL_CONNECTION, (from, reader) => this.#receive(from, reader))
  }

  /** Connections of other shards that this one owns. */
  get ownedCount(): number {
    return this.#owned.size
  }

  accept(service: string, accept: Accept): void {
    this.#services.set(service, accept)
  }

  forward(target: number, service: string, socket: Socket, received: Uint8Array): SocketReceiver {
    if (target === this.#port.shard) return this.#acceptInPlace(service, socket, received)
    const id = this.#next++
    const acceptor = new Acceptor(this, target, id, socket)
    this.#accepted.set(id, acceptor)
    const outbox = this.#port.begin(target, CHANNEL_CONNECTION)
    outbox.uint8(OPEN)
    outbox.uint53(id)
    outbox.text(service)
    outbox.text(socket.peerAddress)
    this.#port.end(outbox)
    if (received.length > 0) acceptor.data(received)
    return acceptor
  }

  /** One that is this shard's own: no link is between. */
  #acceptInPlace(service: string, socket: Socket, received: Uint8Array): SocketReceiver {
    const accept = this.#services.get(service)
    if (accept === undefined) {
      socket.terminate()
      return NOBODY
    }
    const receiver = accept(socket)
    if (received.length > 0) receiver.data(received)
    return receiver
  }

  send(target: number, id: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    const outbox = this.#port.begin(target, CHANNEL_CONNECTION)
    outbox.uint8(kind)
    outbox.uint53(id)
    outbox.block(bytes, start, end)
    this.#port.end(outbox)
  }

  taken(target: number, id: number, kind: number, count: number): void {
    const outbox = this.#port.begin(target, CHANNEL_CONNECTION)
    outbox.uint8(kind)
    outbox.uint53(id)
    outbox.uint53(count)
    this.#port.end(outbox)
  }

  acceptorClosed(acceptor: Acceptor): void {
    if (this.#accepted.delete(acceptor.id))
      this.send(acceptor.target, acceptor.id, TERMINATE | TO_OWNER, NO_BYTES, 0, 0)
  }

  #receive(from: number, reader: ByteReader): void {
    const head = reader.uint8()
    const kind = head & 7
    const id = reader.uint53()
    if (kind === OPEN) this.#open(from, id, reader.text(), reader.text())
    else if ((head & TO_OWNER) !== 0) this.#toOwner(`${from}/${id}`, kind, reader)
    else this.#toAcceptor(id, kind, reader)
  }

  #open(from: number, id: number, service: string, peerAddress: string): void {
    const accept = this.#services.get(service)
    const socket = new ForwardedSocket(this, from, id, peerAddress)
    this.#owned.set(`${from}/${id}`, socket)
    if (accept === undefined) socket.terminate()
    else socket.receiver = accept(socket)
  }

  #toOwner(key: string, kind: number, reader: ByteReader): void {
    const socket = this.#owned.get(key)
    if (socket === undefined) return
    if (kind === DATA) {
      const bytes = reader.blockCopy()
      if (socket.open) socket.data(bytes)
    } else if (kind === TAKEN) socket.credit(reader.uint53())
    else {
      this.#owned.delete(key)
      socket.lost()
    }
  }

  #toAcceptor(id: number, kind: number, reader: ByteReader): void {
    const acceptor = this.#accepted.get(id)
    if (acceptor === undefined) return
    if (kind === DATA) acceptor.write(reader.blockCopy())
    else if (kind === TAKEN) acceptor.credit(reader.uint53())
    else if (kind === CLOSE) {
      acceptor.ending = true
      if (acceptor.held.length === 0) acceptor.socket.end()
    } else acceptor.socket.terminate()
  }
}
