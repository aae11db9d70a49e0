/**
 * A connection over a stream whose reads and writes are promises: one of each is under way at most, and what a `write` takes is copied into
 * a queue of bounded size, which is the transport of the contract in Net.ts.
 *
 * Invariants
 *  - At most {@link QUEUE_BYTES_MAX} bytes of a connection wait; a `write` beyond that takes less, and `drain` tells when to go on.
 *  - An idle connection holds {@link READ_BYTES_MIN} bytes to read into; one that is full of data more, and hands it over whole.
 */
import { InvariantViolation } from "../assert.ts"
import type { OnFault } from "./listening.ts"
import { type Accept, CLOSED, type Socket, type SocketReceiver } from "./Net.ts"

/** Bytes taken from `write` that the kernel has not taken yet. */
export const QUEUE_BYTES_MAX = 131_072
/** A full queue takes more when it is as short as this. */
const DRAIN_BYTES = 32_768
export const READ_BYTES_MIN = 2_048
const READ_BYTES_MAX = 65_536
/** How long a connection that we have ended may take to send what is left and to be ended by the peer. */
const LINGER_MS = 2_000

/** What it stands on. */
export interface ByteStream {
  /** Bytes that were read into `target`; null = the peer sent the end of its stream. */
  read(target: Uint8Array): Promise<number | null>
  /** Bytes that were taken, one at least. */
  write(bytes: Uint8Array): Promise<number>
  /** Sends the end of the stream; reading goes on. */
  closeWrite(): Promise<void>
  close(): void
}

export class StreamConnection implements Socket {
  readonly peerAddress: string
  receiver: SocketReceiver | undefined
  readonly #handle: ByteStream
  readonly #onFault: OnFault
  #target = new Uint8Array(READ_BYTES_MIN)
  /** Behind what is being written. */
  #queue: Array<Uint8Array> = []
  /** Bytes in the queue and on their way to the kernel. */
  #owed = 0
  #isWriting = false
  #isReading = false
  #isPaused = false
  /** Came while reading was paused. */
  #held: Uint8Array | undefined
  #wasFull = false
  #isEnding = false
  /** The peer sends no more. */
  #hasEnd = false
  #isOpen = true
  #linger: ReturnType<typeof setTimeout> | undefined

  constructor(handle: ByteStream, peerAddress: string, onFault: OnFault) {
    this.#handle = handle
    this.#onFault = onFault
    this.peerAddress = peerAddress
  }

  /** Asks who receives, and reads. */
  start(accept: Accept): void {
    try {
      this.receiver = accept(this)
      this.read()
    } catch (error) {
      this.#failed(error)
    }
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#isOpen || this.#isEnding) return CLOSED
    const count = Math.min(end - start, QUEUE_BYTES_MAX - this.#owed)
    if (count < end - start) this.#wasFull = true
    if (count <= 0) return 0
    const taken = new Uint8Array(bytes.subarray(start, start + count))
    this.#owed += count
    if (this.#isWriting) this.#queue.push(taken)
    else this.#send(taken)
    return count
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#deliver(held)
    this.read()
  }

  end(): void {
    if (!this.#isOpen || this.#isEnding) return
    this.#isEnding = true
    this.#isPaused = false
    this.#held = undefined
    this.#linger = setTimeout(() => this.terminate(), LINGER_MS)
    if (!this.#isWriting) this.#finish()
    // What the peer still sends is taken off the line: an unread byte would turn the end into a reset.
    this.read()
  }

  terminate(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#linger)
    this.#queue = []
    this.#held = undefined
    try {
      this.#handle.close()
    } catch {
      // It was closed at the same moment.
    }
    // Not from within a call of its owner's.
    queueMicrotask(() => {
      const { receiver } = this
      this.receiver = undefined
      receiver?.closed()
    })
  }

  /** Reads on, unless it does already or must not. */
  read(): void {
    if (!this.#isOpen || this.#isReading || this.#isPaused || this.#hasEnd) return
    this.#isReading = true
    this.#handle.read(this.#target).then(
      (count) => {
        this.#isReading = false
        if (count === null) this.#peerEnded()
        else this.#received(count)
      },
      () => this.terminate()
    )
  }

  #received(count: number): void {
    const bytes = this.#take(count)
    if (this.#isPaused) {
      this.#held = bytes
      return
    }
    if (!this.#isEnding) this.#deliver(bytes)
    this.read()
  }

  /** The bytes that were read, for good: a target that is mostly full is given away, and the next one has more room. */
  #take(count: number): Uint8Array {
    const target = this.#target
    const size = target.length
    if (count * 2 > size) {
      this.#target = new Uint8Array(count === size ? Math.min(READ_BYTES_MAX, size * 4) : size)
      return target.subarray(0, count)
    }
    const bytes = target.slice(0, count)
    if (size > READ_BYTES_MIN) this.#target = new Uint8Array(Math.max(READ_BYTES_MIN, size / 4))
    return bytes
  }

  #deliver(bytes: Uint8Array): void {
    try {
      if (this.#isOpen) this.receiver?.data(bytes)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The peer sends no more. What it is owed still goes out. */
  #peerEnded(): void {
    this.#hasEnd = true
    if (this.#owed === 0) this.terminate()
    else this.end()
  }

  #send(bytes: Uint8Array): void {
    this.#isWriting = true
    this.#sendAll(bytes).then(
      () => this.#sent(bytes.length),
      () => this.terminate()
    )
  }

  async #sendAll(bytes: Uint8Array): Promise<void> {
    for (let position = 0; position < bytes.length; ) {
      position += await this.#handle.write(position === 0 ? bytes : bytes.subarray(position))
    }
  }

  #sent(count: number): void {
    this.#isWriting = false
    if (!this.#isOpen) return
    this.#owed -= count
    const [first, ...more] = this.#queue
    this.#queue = []
    if (first !== undefined) this.#send(more.length === 0 ? first : joined([first, ...more]))
    else if (this.#isEnding) this.#finish()
    if (!this.#wasFull || this.#owed > DRAIN_BYTES || this.#isEnding) return
    this.#wasFull = false
    try {
      this.receiver?.drain()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** All that was taken is sent: the end of the stream. */
  #finish(): void {
    if (this.#hasEnd) this.terminate()
    else this.#handle.closeWrite().catch(() => this.terminate())
  }

  #failed(error: unknown): void {
    if (error instanceof InvariantViolation) throw error
    this.terminate()
    this.#onFault(error)
  }
}

function joined(chunks: ReadonlyArray<Uint8Array>): Uint8Array {
  const all = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0))
  let position = 0
  for (const chunk of chunks) {
    all.set(chunk, position)
    position += chunk.length
  }
  return all
}
