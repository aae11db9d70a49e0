/** Reads lines off a file through a bounded buffer, and a whole file when it is opened. */
import { type LogShape, recordBatch } from "manifold"
import { Blocks } from "./Blocks.ts"
import { damaged } from "./errors.ts"
import type { LineFile } from "./LineFile.ts"
import { type BatchLine, decode, lineEnd, type StateLine } from "./line.ts"
import { nextOffset } from "./Tail.ts"

/** Bytes that are read at a time where a whole file is. */
const SCAN_BYTES = 1_048_576
/** No line is longer: the largest batch is 100 MiB, and base64 makes a third more of it. */
const LINE_BYTES_MAX = 268_435_456
/** More than a state line has. */
const STATE_BYTES_MAX = 512

/** Takes what lies at `[position, end)`, its line break included: a line, or undefined where it is damaged. False = enough. */
export type Visit = (line: BatchLine | StateLine | undefined, position: number, end: number) => boolean

/**
 * Shows every line of `file` that lies in `[from, to)`, `bytes` of it read at a time; a line that is longer gets a buffer of its size.
 * Bytes at the end that have no line break are a damaged line.
 */
export async function scan(file: LineFile, from: number, to: number, bytes: number, visit: Visit): Promise<void> {
  let buffer = new Uint8Array(Math.min(to - from, bytes))
  let held = 0
  for (let position = from; position < to; ) {
    const wanted = Math.min(buffer.length, to - position)
    const count = await file.read(buffer, held, wanted, position + held)
    held += count
    let start = 0
    for (let end = lineEnd(buffer, 0, held); end >= 0; end = lineEnd(buffer, start, held)) {
      if (!visit(decode(buffer, start, end), position + start, position + end + 1)) return
      start = end + 1
    }
    if ((count === 0 || position + held === to || held - start >= LINE_BYTES_MAX) && start < held) {
      visit(undefined, position + start, to)
      return
    }
    if (count === 0) return
    position += start
    held -= start
    const rest = buffer.subarray(start, start + held)
    if (held === buffer.length) buffer = new Uint8Array(Math.min(buffer.length * 2, LINE_BYTES_MAX))
    buffer.set(rest)
  }
}

/** What a file holds. Offsets count records, positions bytes. */
export interface Found {
  readonly blocks: Blocks
  readonly start: number
  readonly end: number
  readonly epoch: number
  /** The records below were synced, as far as the lines tell. */
  readonly durable: number
  /** Where the last good line ends; what follows was torn by a crash. */
  readonly size: number
  /** The file was closed in good order, or is new. */
  readonly isClean: boolean
}

/**
 * Reads a whole file and checks every line of it. A line that a crash tore ends what was written since the last sync, and is where the
 * log ends; a line that is bad though it had been synced is damage: it is told of, and rejects with `ChecksumMismatch`.
 */
export async function recover(file: LineFile, log: LogShape): Promise<Found> {
  let blocks = new Blocks()
  let start = 0
  let end = 0
  let epoch = 0
  let size = 0
  let durable = 0
  let isClean = true
  let isTorn = false
  let isDamaged = false
  const total = file.size
  await scan(file, 0, total, SCAN_BYTES, (line, position, lineEnd) => {
    if (isTorn) {
      isDamaged = line !== undefined && line.durable > end
    } else if (line === undefined || ("batch" in line && line.offset !== end)) {
      isTorn = true
      isClean = false
      // The first line is synced before there is a second: only where it is alone can a crash have torn it.
      isDamaged = position === 0 && total > STATE_BYTES_MAX
    } else if ("batch" in line) {
      const { batch } = line
      blocks.add(line.offset, position, recordBatch.maxTimestamp(batch, 0), line.at)
      end = nextOffset(batch, 0)
      durable = line.durable
      epoch = Math.max(epoch, recordBatch.partitionLeaderEpoch(batch, 0))
      isClean = false
      size = lineEnd
    } else {
      if (line.next !== end) blocks = new Blocks()
      start = line.start
      end = line.next
      durable = line.durable
      epoch = Math.max(epoch, line.epoch)
      isClean = line.state === "closed"
      size = lineEnd
    }
    return !isDamaged
  })
  if (isDamaged) {
    log.error("storage-jsonl", "a line that was synced is damaged", {
      file: file.pathname,
      position: size,
      offset: end
    })
    throw damaged(end)
  }
  const first = blocks.list[0]?.offset ?? end
  return { blocks, start: Math.min(Math.max(start, first), end), end, epoch, durable, size, isClean }
}
