/** What the shape of the manifest cannot say of bounds on what is stored: bounds within which nothing could be kept, or that never hold. */
import type { Path, Place } from "./check-value.ts"
import { type Fault, show } from "./faults.ts"
import type { Bindings, Node, Topics } from "./schema.ts"

/** What the journal of one shard takes at work, with some room for what it feeds. */
export const DATA_BYTES_PER_SHARD_MIN = 134_217_728

/** The parts that are right by themselves; each undefined where its section is not. */
export function checkBudget(
  node: Node | undefined,
  topics: Topics | undefined,
  bindings: Bindings,
  place: Place,
  faults: Array<Fault>
): void {
  if (node === undefined) return
  const fault = (path: Path, found: number, allowed: string): void => {
    faults.push({ key: path.join("."), source: place(path), found: show(found), allowed })
  }
  const { data_bytes_max: data, tenant_bytes_max: tenant, shards } = node
  if (data !== 0 && data < shards * DATA_BYTES_PER_SHARD_MIN) {
    const allowed = `0, or ${DATA_BYTES_PER_SHARD_MIN} or more for each shard, which its journal needs: ${shards * DATA_BYTES_PER_SHARD_MIN}`
    fault(["node", "data_bytes_max"], data, allowed)
    return
  }
  if (data === 0) return
  const within = `${data} or less: node.data_bytes_max is reached before`
  if (tenant > data) fault(["node", "tenant_bytes_max"], tenant, within)
  const check = (path: Path, retentionBytes = 0): void => {
    if (retentionBytes > data) fault([...path, "retention_bytes"], retentionBytes, within)
  }
  check(["topics"], topics?.retention_bytes)
  for (const [index, rule] of topics?.rule.entries() ?? [])
    check(["topics", "rule", String(index)], rule.retention_bytes)
  for (const [index, binding] of bindings) check(["binding", String(index)], binding.retention_bytes)
}
