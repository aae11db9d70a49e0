/** An operation on a partition, copied out of its entry of the journal. */
import { assert } from "../assert.ts"
import type { PartitionKey } from "../log/Engines.ts"
import { type PartitionTarget, readPartitionOperation } from "../log/partition-operations.ts"

/** An operation as it stands in the journal. */
export type ReplayedOperation = { readonly id: number; readonly body: Uint8Array } & (
  | { readonly kind: "made"; readonly key: PartitionKey }
  | { readonly kind: "appended"; readonly bytes: Uint8Array; readonly appendedAtMs: number }
  | { readonly kind: "begun"; readonly offset: number; readonly leaderEpoch: number }
  | { readonly kind: "cut"; readonly offset: number; readonly leaderEpoch: number }
  | { readonly kind: "deleted"; readonly offset: number }
  | { readonly kind: "removed" }
)

/** What stands at `bytes[start, end)`, which is left alone. Throws where it is no operation on a partition. */
export function replayedOperation(bytes: Uint8Array, start: number, end: number): ReplayedOperation {
  const body = bytes.slice(start, end)
  let found: ReplayedOperation | undefined
  const target: PartitionTarget = {
    partitionMade: (id, tenant, topicId, partition) => {
      found = { kind: "made", id, body, key: { tenant, topicId, partition } }
    },
    batchAppended: (id, appendedAtMs, _bytes, from, to) => {
      found = { kind: "appended", id, body, bytes: body.slice(from, to), appendedAtMs }
    },
    logCut: (id, offset, leaderEpoch) => {
      found = { kind: "cut", id, body, offset, leaderEpoch }
    },
    logDeleted: (id, offset) => {
      found = { kind: "deleted", id, body, offset }
    },
    logBegun: (id, offset, leaderEpoch) => {
      found = { kind: "begun", id, body, offset, leaderEpoch }
    },
    partitionRemoved: (id) => {
      found = { kind: "removed", id, body }
    }
  }
  readPartitionOperation(body, 0, body.length, target)
  assert(found !== undefined, "an operation that is read is told")
  return found
}
