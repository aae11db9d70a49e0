/** An operation of the journal, copied out of its entry. */
import { type OperationTarget, readOperation } from "./database/operations.ts"
import type { ReplayedOperation } from "./Partitions.ts"

/** What stands at `bytes[start, end)`, which is left alone. Throws where it is none of ours. */
export function replayedOperation(bytes: Uint8Array, start: number, end: number): ReplayedOperation {
  const body = bytes.slice(start, end)
  let found: ReplayedOperation | undefined
  const unexpected = (): void => {
    throw new Error("key-value writes are operations of another kind")
  }
  const target: OperationTarget = {
    keyPut: unexpected,
    keyRemoved: unexpected,
    keysRemoved: unexpected,
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
    partitionRemoved: (id) => {
      found = { kind: "removed", id, body }
    }
  }
  readOperation(body, 0, body.length, target)
  if (found === undefined) throw new Error("an operation of an unknown kind")
  return found
}
