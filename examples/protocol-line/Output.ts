/**
 * What waits to be written to one connection: gathered while a turn lasts, offered to the socket once at its end.
 *
 * Bytes leave in the order in which they were added. It holds whatever is added: who adds looks at {@link Output.size} first.
 */
import { CLOSED, type Socket } from "manifold"

const NONE = new Uint8Array(0)
const BUFFER_BYTES_MIN = 1_024

export class Output {
  #bytes: Uint8Array = NONE
  #start = 0
  #end = 0

  /** Bytes that wait. */
  get size(): number {
    return this.#end - this.#start
  }

  /** Adds a copy of `bytes[0, length)`. */
  add(bytes: Uint8Array, length: number): void {
    if (this.#end + length > this.#bytes.length) this.#makeRoom(length)
    this.#bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.#end)
    this.#end += length
  }

  /** Offers everything to the socket, once; false where the connection is closed. */
  flush(socket: Socket): boolean {
    if (this.size === 0) return true
    const taken = socket.write(this.#bytes, this.#start, this.#end)
    if (taken === CLOSED) return false
    this.#start += taken
    if (this.size === 0) this.clear()
    return true
  }

  /** Drops everything; an idle connection holds no buffer. */
  clear(): void {
    this.#bytes = NONE
    this.#start = 0
    this.#end = 0
  }

  #makeRoom(count: number): void {
    const { size } = this
    const fits = size + count <= this.#bytes.length
    const target = fits ? this.#bytes : new Uint8Array(Math.max(BUFFER_BYTES_MIN, 2 * (size + count)))
    target.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = target
    this.#start = 0
    this.#end = size
  }
}
