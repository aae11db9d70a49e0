/**
 * Snapshots as they were written until format 2: all of a state at once, with one checksum at the end. They are read, and replaced by the
 * next that is written.
 */
import { ByteReader, crc32c } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { MARK, type SnapshotHead, type SnapshotTarget } from "./snapshot-format.ts"

const CHECKSUM_BYTES = 4

/** Tells `target` what the bytes of a whole file say. Throws {@link MetaFormatFault}. */
export function decodeSnapshotV1(bytes: Uint8Array, target: SnapshotTarget): SnapshotHead {
  const end = bytes.length - CHECKSUM_BYTES
  const head = MARK.length + 4
  const reader = new ByteReader().reset(bytes, 0, bytes.length)
  if (end < head) throw new MetaFormatFault("it is damaged: its end is missing")
  reader.position = end
  if (crc32c(bytes, 0, end) !== reader.uint32()) {
    throw new MetaFormatFault("it is damaged: its checksum is that of other content")
  }
  reader.reset(bytes, head, end)
  const [journalIndex, lastIndex, lastTerm] = [reader.uint53(), reader.uint53(), reader.uint53()]
  const hardState = { term: reader.uint53(), vote: reader.uint53(), commit: reader.uint53() }
  const [revision, nextLease] = [reader.uint53(), reader.uint53()]
  const [leaseCount, entryCount] = [reader.uint32(), reader.uint32()]
  const leases = Array.from({ length: leaseCount }, () => ({ lease: reader.uint53(), ttlMs: reader.uint53() }))
  for (let count = 0; count < entryCount; count++) {
    const keyStart = reader.blockStart()
    const keyEnd = reader.position
    const [version, lease] = [reader.uint53(), reader.uint53()]
    const valueStart = reader.blockStart()
    target.entry({ bytes, keyStart, keyEnd, valueStart, valueEnd: reader.position, version, lease })
  }
  if (reader.position !== end) throw new MetaFormatFault("it is damaged: more follows than it says it holds")
  const told: SnapshotHead = { journalIndex, lastIndex, lastTerm, hardState, revision, nextLease, leases }
  target.head(told)
  return told
}
