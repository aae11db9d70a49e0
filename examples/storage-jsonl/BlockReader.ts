/** Finds batches in the file: by offset and by time, through the sparse index. */
import { type OffsetAndTimestamp, type Partition, RecordCursor, recordBatch } from "manifold"
import type { Blocks } from "./Blocks.ts"
import { damaged, storageError } from "./errors.ts"
import type { LineFile } from "./LineFile.ts"
import { scan } from "./scan.ts"
import { nextOffset } from "./Tail.ts"

/** Bytes of the file that one read takes, beyond a block that is larger. */
const READ_BYTES_MAX = 1_048_576

export class BlockReader {
  readonly #file: LineFile
  readonly #blocks: Blocks

  constructor(file: LineFile, blocks: Blocks) {
    this.#file = file
    this.#blocks = blocks
  }

  /**
   * Shows batches from the block that holds `offset` on, of some `bytes` of the file and the whole block at least, until `look` gives
   * false. The bytes are taken in one read: what happens to the file meanwhile does not show. A damaged line rejects.
   */
  async visit(offset: number, bytes: number, look: (batch: Uint8Array, position: number) => boolean): Promise<void> {
    const { list } = this.#blocks
    const first = Math.max(0, this.#blocks.find(offset))
    const from = list[first]?.position ?? this.#file.size
    const endOf = (block: number): number => list[block + 1]?.position ?? this.#file.size
    let last = first
    while (last + 1 < list.length && endOf(last + 1) - from <= Math.min(bytes, READ_BYTES_MAX)) last += 1
    const to = endOf(last)
    let expected = list[first]?.offset ?? offset
    try {
      await scan(this.#file, from, to, to - from, (line, position) => {
        if (line === undefined) throw damaged(expected)
        if (!("batch" in line)) return true
        expected = nextOffset(line.batch, 0)
        return look(line.batch, position)
      })
    } catch (error) {
      throw storageError(error)
    }
  }

  /** The line of the batch that holds `offset`, or, where none does, of the next one; at the log's end where it will be written. */
  async lineOf(offset: number, logEndOffset: number): Promise<{ readonly position: number; readonly offset: number }> {
    const index = this.#blocks.find(offset)
    const next = this.#blocks.list[index + 1]
    let found = { position: next?.position ?? this.#file.size, offset: next?.offset ?? logEndOffset }
    if (index < 0) return found
    await this.visit(offset, 0, (batch, position) => {
      if (nextOffset(batch, 0) <= offset) return true
      found = { position, offset: recordBatch.baseOffset(batch, 0) }
      return false
    })
    return found
  }

  /** The first record of `log` that is of `timestamp` (ms) or later. */
  async findTimestamp(timestamp: number, log: Partition): Promise<OffsetAndTimestamp | undefined> {
    const cursor = new RecordCursor()
    let found: OffsetAndTimestamp | undefined
    const look = (batch: Uint8Array): boolean => {
      if (recordBatch.maxTimestamp(batch, 0) < timestamp) return true
      cursor.reset(batch, 0, batch.length)
      while (found === undefined && cursor.next() && cursor.offset < log.highWatermark) {
        if (cursor.timestamp < timestamp || cursor.offset < log.logStartOffset) continue
        found = { offset: cursor.offset, timestamp: cursor.timestamp }
      }
      return found === undefined
    }
    for (let from = log.logStartOffset; from < log.highWatermark && found === undefined; ) {
      const index = this.#blocks.find(from)
      const next = this.#blocks.list[index + 1]?.offset ?? log.highWatermark
      if ((this.#blocks.list[index]?.maxTimestamp ?? timestamp) >= timestamp) await this.visit(from, 0, look)
      from = Math.max(next, log.logStartOffset)
    }
    return found
  }
}
