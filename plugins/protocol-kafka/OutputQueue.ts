/**
 * What one connection owes its peer, as pieces: heads of answers, which are ours, and stored batches, which are views of the logs' memory
 * and are not copied before they are sent. A large piece goes to the socket as it is, small neighbours together.
 *
 * Invariants
 *  - Pieces leave in the order in which they came, each byte once.
 *  - A lease is ended when nothing is owed any more: until then its memory may be among the pieces.
 *  - What lies in borrowed memory is sent or copied before {@link OutputQueue.write} returns ({@link OutputQueue.pushBorrowed}).
 */
import { CLOSED, type ReadLease, type Socket } from "../../core/mod.ts"
import type { ResponseWriter } from "./wire/ResponseWriter.ts"

/** A piece of this size is worth a write of its own: below it, copying costs less than the call. */
const ALONE_BYTES_MIN = 32_768
/** Small pieces are put together up to this size. */
const JOINED_BYTES_MAX = 131_072
/** Of all connections of the thread: what it holds is nobody's after a write. */
const joined = new Uint8Array(JOINED_BYTES_MAX)

interface Piece {
  bytes: Uint8Array
  start: number
  end: number
  /** The bytes are somebody else's soon. */
  isBorrowed: boolean
}

export class OutputQueue {
  #pieces: Array<Piece> = []
  #head = 0
  #leases: Array<ReadLease> = []

  get isEmpty(): boolean {
    return this.#head === this.#pieces.length
  }

  /** Adds bytes that do not change while they are owed. */
  push(bytes: Uint8Array, start: number, end: number): void {
    if (start < end) this.#pieces.push({ bytes, start, end, isBorrowed: false })
  }

  /** Adds bytes that stay as they are until the next {@link OutputQueue.write} has returned. */
  pushBorrowed(bytes: Uint8Array, start: number, end: number): void {
    if (start < end) this.#pieces.push({ bytes, start, end, isBorrowed: true })
  }

  /** What follows was read with this lease. */
  pushLease(lease: ReadLease): void {
    this.#leases.push(lease)
  }

  /** Adds what was written: its own bytes as borrowed ones, stored batches as they lie. */
  pushWritten(writer: ResponseWriter): void {
    let position = 0
    for (const { bytes, start, end, at } of writer.views) {
      this.pushBorrowed(writer.bytes, position, at)
      this.push(bytes, start, end)
      position = at
    }
    this.pushBorrowed(writer.bytes, position, writer.position)
  }

  /** Writes what the socket takes; returns how many bytes that were, or {@link CLOSED}. Whether more is owed says `isEmpty`. */
  write(socket: Socket): number {
    let total = 0
    while (!this.isEmpty) {
      const taken = this.#writeOnce(socket)
      if (taken === CLOSED) return CLOSED
      total += taken
      if (this.#isBlocked) break
    }
    for (let index = this.#head; index < this.#pieces.length; index++) keep(this.#pieces[index] as Piece)
    return total
  }

  /** Owes nothing any more. */
  clear(): void {
    this.#pieces = []
    this.#head = 0
    if (this.#leases.length === 0) return
    for (const lease of this.#leases) lease.end()
    this.#leases = []
  }

  #isBlocked = false

  #writeOnce(socket: Socket): number {
    const first = this.#pieces[this.#head] as Piece
    let size = first.end - first.start
    let taken: number
    if (size >= ALONE_BYTES_MIN) taken = socket.write(first.bytes, first.start, first.end)
    else if (this.#head + 1 === this.#pieces.length) taken = socket.write(first.bytes, first.start, first.end)
    else {
      size = this.#join()
      taken = socket.write(joined, 0, size)
    }
    this.#isBlocked = taken < size
    if (taken > 0) this.#advance(taken)
    return taken
  }

  /** Copies small pieces together, as they follow each other; returns their size. */
  #join(): number {
    let size = 0
    for (let index = this.#head; index < this.#pieces.length; index++) {
      const { bytes, start, end } = this.#pieces[index] as Piece
      if (size > 0 && end - start >= ALONE_BYTES_MIN) break
      const count = Math.min(end - start, JOINED_BYTES_MAX - size)
      joined.set(bytes.subarray(start, start + count), size)
      size += count
      if (size === JOINED_BYTES_MAX) break
    }
    return size
  }

  #advance(count: number): void {
    for (let rest = count; rest > 0; ) {
      const piece = this.#pieces[this.#head] as Piece
      const size = piece.end - piece.start
      if (rest < size) {
        piece.start += rest
        return
      }
      rest -= size
      // The views of an answer go as they are sent, not all at its end.
      this.#pieces[this.#head] = DONE
      this.#head += 1
    }
    if (this.isEmpty) this.clear()
  }
}

const DONE: Piece = { bytes: new Uint8Array(0), start: 0, end: 0, isBorrowed: false }

/** Makes the piece one that lasts. */
function keep(piece: Piece): void {
  if (!piece.isBorrowed) return
  piece.bytes = piece.bytes.slice(piece.start, piece.end)
  piece.end -= piece.start
  piece.start = 0
  piece.isBorrowed = false
}

/** Bytes of all chunks together. */
export function bytesOf(chunks: ReadonlyArray<Uint8Array>): number {
  let size = 0
  for (const chunk of chunks) size += chunk.length
  return size
}
