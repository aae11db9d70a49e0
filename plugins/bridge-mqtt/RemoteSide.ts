/**
 * The end of a bridge at the remote broker: a socket, what waits to be written to it, and the packets that come.
 *
 * Invariants
 *  - What waits is bounded: while it is more than {@link FULL_BYTES} nothing more is taken from this broker, or from the remote itself,
 *    whose packets are answered.
 *  - What was written is let go even if something always waits: the buffer is at most twice as long as what waits.
 */
import type { Socket, SocketReceiver } from "../../core/mod.ts"
import { OutBuffer } from "./wire/OutBuffer.ts"
import { PacketReader } from "./wire/PacketReader.ts"

/** Bytes that wait for the socket above which both sides are held back. */
export const FULL_BYTES = 262_144

export interface RemoteOwner {
  /** Packets may lie in the reader. */
  remoteCame(): void
  /** The remote has taken some of what waits. */
  remoteDrained(): void
  remoteClosed(): void
}

export class RemoteSide implements SocketReceiver {
  readonly reader: PacketReader
  readonly out = new OutBuffer()
  readonly #owner: RemoteOwner
  #socket: Socket | undefined
  /** Bytes of `out` that the socket has taken. */
  #written = 0
  #isBlocked = false
  #isOver = false

  constructor(owner: RemoteOwner, packetSizeMax: number) {
    this.#owner = owner
    this.reader = new PacketReader(packetSizeMax)
  }

  readonly accept = (socket: Socket): SocketReceiver => {
    this.#socket = socket
    // Nobody wants it any more.
    if (this.#isOver) socket.terminate()
    return this
  }

  get isFull(): boolean {
    return this.out.length - this.#written > FULL_BYTES
  }

  data(bytes: Uint8Array): void {
    this.reader.push(bytes)
    this.#owner.remoteCame()
  }

  drain(): void {
    this.#isBlocked = false
    this.flush()
    this.#owner.remoteDrained()
  }

  closed(): void {
    this.#socket = undefined
    this.#owner.remoteClosed()
  }

  /** Writes what waits, as far as the socket takes it. */
  flush(): void {
    const { out } = this
    if (this.#isBlocked || this.#socket === undefined || out.length === this.#written) return
    const taken = this.#socket.write(out.bytes, this.#written, out.length)
    if (taken > 0) this.#written += taken
    this.#isBlocked = this.#written < out.length
    // Not for each byte: what is moved to the front is never more than what was written since the last time.
    if (this.#written * 2 < out.length) return
    out.dropFront(this.#written)
    this.#written = 0
  }

  pause(): void {
    this.#socket?.pause()
  }

  resume(): void {
    this.#socket?.resume()
  }

  /** Ends it in order, with what was written. */
  end(): void {
    this.#isOver = true
    this.#socket?.end()
  }
}
