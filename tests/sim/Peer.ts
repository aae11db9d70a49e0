/**
 * A client's end of a simulated connection: everything it sends waits its turn, what comes is cut into packets, and it can leave
 * in every way that a real client can: in order, at a chosen byte, at once, or without a word.
 */
import { CLOSED, type SocketReceiver } from "../../core/mod.ts"
import type { Simulation } from "../../core/platform/simulated.ts"
import type { SimulatedSocket } from "../../core/platform/simulated-net.ts"

/** Who uses a {@link Peer}. Nothing is called after the peer has left by itself, except where it left in order. */
export interface PeerOwner {
  /** Bytes of the first packet at the front of `bytes`; undefined where it is not whole. */
  packetLength(bytes: Uint8Array): number | undefined
  /** One whole packet; the bytes are the owner's. */
  packet(bytes: Uint8Array): void
  /** One of the owner's packets is about to be whole at the broker. */
  arrived?(): void
  /** The connection is gone. */
  ended(): void
}

const EMPTY = new Uint8Array(0)

export class Peer implements SocketReceiver {
  /** Half-open connections that nobody closed; the operating systems would, some day. */
  static leftOpen(peers: Iterable<Peer>): void {
    for (const peer of peers) peer.#socket?.terminate()
  }

  isOpen = true
  /** Bytes that the broker lacks of each packet that was sent. */
  readonly #lacking: Array<number> = []
  readonly #owner: PeerOwner
  #socket: SimulatedSocket | undefined
  #unsent: Uint8Array = EMPTY
  #received: Uint8Array = EMPTY
  /** The end of the stream follows what waits. */
  #isEnding = false
  /** Deaf: whatever comes is lost. */
  #isGone = false

  constructor(simulation: Simulation, address: string, owner: PeerOwner) {
    this.#owner = owner
    this.#socket = simulation.net.connect(address, () => this)
    if (this.#socket === undefined) throw new Error(`nobody listens on ${address}`)
    this.#socket.arriving = (count) => this.#arriving(count)
  }

  /** Whether the broker's end has had everything that was sent. */
  get hasArrived(): boolean {
    return this.#lacking.length === 0
  }

  /** Sends one packet. */
  send(bytes: Uint8Array): void {
    if (this.#isEnding || this.#isGone || !this.isOpen) return
    this.#lacking.push(bytes.length)
    this.#unsent = this.#unsent.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#unsent, bytes])
    this.#flush()
  }

  /** Ends the stream in order, after what was sent. */
  finish(): void {
    this.#isEnding = true
    this.#flush()
  }

  /** Sends only the first `count` bytes of `bytes`, then the end of the stream: a client that died in the middle. */
  finishWithin(bytes: Uint8Array, count: number): void {
    this.send(bytes.subarray(0, count))
    this.finish()
    this.#isGone = true
  }

  /** Cuts the connection: what is under way is lost, in both directions. */
  cut(): void {
    this.#isGone = true
    this.isOpen = false
    this.#socket?.terminate()
  }

  /** Falls silent without closing: nothing is read or written any more. What is under way still arrives at the broker. */
  vanish(): void {
    this.#isGone = true
    this.#unsent = EMPTY
    this.#socket?.pause()
  }

  /** Forgets the connection, which stays open: what comes is read by nobody. */
  abandon(): void {
    this.#isGone = true
    this.#unsent = EMPTY
  }

  pause(): void {
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#isGone) this.#socket?.resume()
  }

  data(bytes: Uint8Array): void {
    if (this.#isGone) return
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
    while (!this.#isGone) {
      const length = this.#owner.packetLength(this.#received)
      if (length === undefined) return
      const packet = this.#received.slice(0, length)
      this.#received = this.#received.subarray(length)
      this.#owner.packet(packet)
    }
  }

  drain(): void {
    this.#flush()
  }

  closed(): void {
    this.isOpen = false
    this.#socket = undefined
    if (!this.#isGone) this.#owner.ended()
  }

  #arriving(count: number): void {
    let left = count
    for (let lacking = this.#lacking[0]; lacking !== undefined; lacking = this.#lacking[0]) {
      if (lacking > left) {
        this.#lacking[0] = lacking - left
        return
      }
      this.#lacking.shift()
      left -= lacking
      if (!this.#isGone) this.#owner.arrived?.()
    }
  }

  #flush(): void {
    const socket = this.#socket
    if (socket === undefined) return
    if (this.#unsent.length > 0) {
      const taken = socket.write(this.#unsent, 0, this.#unsent.length)
      if (taken === CLOSED) return
      this.#unsent = this.#unsent.subarray(taken)
    }
    if (this.#unsent.length === 0 && this.#isEnding) socket.end()
  }
}
