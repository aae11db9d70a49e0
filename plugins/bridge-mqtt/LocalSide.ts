/**
 * The end of a bridge in this broker: a client's connection without a network, to the shard that owns the client.
 *
 * Invariants
 *  - Nothing is said to the broker from within its own call; what comes up there waits for the end of it.
 *  - What the broker writes is taken whole, or not at all while the remote does not read: then it waits there, as for any slow client.
 */
import { CLOSED, type ClockShape, type ShardShape, type Socket, type SocketReceiver } from "../../core/mod.ts"
import { PACKET_SIZE_MAX } from "./wire/answers.ts"
import { PacketReader } from "./wire/PacketReader.ts"

/** What protocol-mqtt calls the way in for clients that plugins run. */
const SERVICE = "protocol-mqtt/hosted"
const NO_BYTES = new Uint8Array(0)

export interface LocalOwner {
  /** Packets may lie in the reader. */
  localCame(): void
  /** Whether the broker's bytes are to wait. */
  readonly isFull: boolean
  /** The broker reads no more, or again. */
  localPaused(isPaused: boolean): void
  localClosed(): void
}

export class LocalSide implements Socket {
  readonly peerAddress = ""
  readonly reader = new PacketReader(PACKET_SIZE_MAX)
  readonly #owner: LocalOwner
  readonly #clock: ClockShape
  #receiver: SocketReceiver | undefined
  #isOpen = true
  /** The broker is calling. */
  #isCalled = false
  #owesDrain = false

  constructor(owner: LocalOwner, clock: ClockShape) {
    this.#owner = owner
    this.#clock = clock
  }

  /** Connects; the shard owns the client. */
  open(shard: ShardShape): void {
    this.#receiver = shard.forward(shard.index, SERVICE, this, NO_BYTES)
    // Told at once that there is no such service.
    if (!this.#isOpen) this.#end()
  }

  /** Whether something may be said now: not while the broker is calling. */
  get mayBeSent(): boolean {
    return !this.#isCalled
  }

  /** Says `bytes` to the broker, which has them from then on. */
  send(bytes: Uint8Array): void {
    if (this.#isOpen) this.#receiver?.data(bytes)
  }

  /** There is room again for what the broker has to write. */
  drained(): void {
    if (!this.#owesDrain) return
    this.#owesDrain = false
    if (this.#isOpen) this.#receiver?.drain()
  }

  /** Goes, as a client that is cut off. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#end()
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#isOpen) return CLOSED
    if (this.#owner.isFull) {
      this.#owesDrain = true
      return 0
    }
    this.reader.push(bytes.slice(start, end))
    this.#isCalled = true
    this.#owner.localCame()
    this.#isCalled = false
    return end - start
  }

  pause(): void {
    this.#owner.localPaused(true)
  }

  resume(): void {
    this.#owner.localPaused(false)
  }

  end(): void {
    this.terminate()
  }

  terminate(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#clock.microtask(() => this.#end())
  }

  #end(): void {
    const receiver = this.#receiver
    if (receiver === undefined) {
      this.#owner.localClosed()
      return
    }
    this.#receiver = undefined
    receiver.closed()
    this.#owner.localClosed()
  }
}
