/**
 * A piece of a segment's file in memory: the runs of an index that begin in one stretch of it, each compared with its checksums once, when the
 * first reader gets something of it.
 *
 * Invariants
 *  - A batch that does not fit its checksum is never given to anybody.
 *  - Whoever has a use of it ends it: by {@link Window.release} where nothing of its bytes is referred to any more, else by {@link Window.escape}.
 *    Its memory is given back when it has no use left, none that escaped, and is not kept; and then once.
 */
import { endOffsetOf, type LeasedMemory, recordBatch } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"
import { SegmentFault } from "./SegmentFault.ts"
import type { SegmentIndex } from "./SegmentIndex.ts"
import { BATCH_HEADER_BYTES } from "./segment-format.ts"

/** Bytes `[position, position + bytes.length)` of a segment's file. */
export class Window implements LeasedMemory {
  readonly pathname: string
  readonly position: number
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Runs by their positions, and up to where their batches have been checked. */
  readonly checked = new Map<number, number>()
  /** It is given to those who come for it. */
  isKept = false
  /** Its memory may hold something else by now. */
  isGone = false
  readonly #giveBack: (memory: ArrayBuffer) => void
  #uses = 0
  #hasEscaped = false

  constructor(
    pathname: string,
    position: number,
    bytes: Uint8Array<ArrayBuffer>,
    giveBack: (memory: ArrayBuffer) => void
  ) {
    this.pathname = pathname
    this.position = position
    this.bytes = bytes
    this.#giveBack = giveBack
  }

  /** What it keeps others from using. */
  get memoryBytes(): number {
    return this.bytes.buffer.byteLength
  }

  use(): this {
    this.#uses += 1
    return this
  }

  release(): void {
    this.#uses -= 1
    this.settle()
  }

  /** Somebody refers to its bytes for as long as he likes. */
  escape(): void {
    this.#hasEscaped = true
    this.release()
  }

  /** To be called when it is kept no more. */
  settle(): void {
    if (this.isKept || this.isGone || this.#uses > 0 || this.#hasEscaped) return
    this.isGone = true
    this.#giveBack(this.bytes.buffer)
  }
}

/** Where in the window a run ends; that of a segment which grows may go on behind. */
export function endWithin(window: Window, index: SegmentIndex, run: number): number {
  return Math.min(index.endOf(run) - window.position, window.bytes.length)
}

/**
 * Up to where in the window the batches of a run are as they were written: each fits its checksum, and its offsets, which that does not
 * cover, lie between those around it. Where this is not the run's end the batch there is damaged.
 */
export function intactUntil(window: Window, segment: Segment, index: SegmentIndex, run: number): number {
  const { bytes } = window
  const position = index.position(run)
  const end = endWithin(window, index, run)
  let at = (window.checked.get(position) ?? position) - window.position
  while (at < end) {
    const size = recordBatch.batchSize(bytes, at, end)
    if (size <= 0 || recordBatch.checkBatch(bytes, at, at + size) !== 0) break
    const base = segment.base + index.relativeOffset(run)
    if (window.position + at === position && recordBatch.baseOffset(bytes, at) !== base) break
    if (endOffsetOf(bytes, at) > offsetBehind(window, segment, index, run, at + size)) break
    at += size
  }
  window.checked.set(position, window.position + at)
  return at
}

/** The offset at which the batch that ends at `at` of the window has to end, at most. */
function offsetBehind(window: Window, segment: Segment, index: SegmentIndex, run: number, at: number): number {
  const position = window.position + at
  if (position === segment.bytes) return segment.end
  if (at + BATCH_HEADER_BYTES <= endWithin(window, index, run)) return recordBatch.baseOffset(window.bytes, at)
  if (position === index.position(run + 1)) return segment.base + index.relativeOffset(run + 1)
  return Number.MAX_SAFE_INTEGER
}

/** The damage at `at` of a window. */
export function damageAt({ pathname, position }: Window, at: number): SegmentFault {
  return new SegmentFault(pathname, position + at, "the batch does not fit its checksum, or not its place")
}
