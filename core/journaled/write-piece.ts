/** Operations as a checkpoint hands them on: the same bytes as in the journal. */
import type { ByteWriter } from "../link/bytes.ts"
import { writeAppendHead } from "../log/partition-operations.ts"
import { isBatch, type Operation } from "./Batch.ts"

/** Appends an operation to the pieces of a checkpoint. */
export function writePiece(writer: ByteWriter, operation: Operation): void {
  if (isBatch(operation)) {
    const { partition, appendedAtMs, bytes } = operation
    writeAppendHead(writer, partition.id, appendedAtMs)
    writer.raw(bytes, 0, bytes.length)
  } else writer.raw(operation.body, 0, operation.body.length)
}
