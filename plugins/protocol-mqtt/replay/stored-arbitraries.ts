/** For tests of any history: what befalls a topic that stores, beside what befalls its node. */
import assert from "node:assert/strict"
import fc from "fast-check"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import type { TestNode } from "../testing.ts"
import type { StoredTopics } from "./fakes.ts"

export const NOBODY: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }

export type StoredStep =
  | { readonly kind: "append"; readonly name: string; readonly qos: number; readonly shard: number }
  /** What was appended is committed, from now on as it comes, or when this is said again. */
  | { readonly kind: "store"; readonly isAutomatic: boolean }
  /** Retention takes this part of a partition. */
  | { readonly kind: "trim"; readonly partition: number; readonly part: number }

/** A message of one of these names comes to one of two shards. */
export function appends(names: ReadonlyArray<string>) {
  return fc.record({
    kind: fc.constant("append" as const),
    name: fc.constantFrom(...names),
    qos: fc.nat({ max: 2 }),
    shard: fc.nat({ max: 1 })
  })
}

export const STORE_STEP = fc.record({ kind: fc.constant("store" as const), isAutomatic: fc.boolean() })

export function trims(partitions: number) {
  return fc.record({
    kind: fc.constant("trim" as const),
    partition: fc.nat({ max: partitions - 1 }),
    part: fc.double({ min: 0, max: 1, noNaN: true })
  })
}

/** Carries a step out; what is appended is noted, each payload with its QoS. */
export function befallTopic(
  node: TestNode,
  { engine }: StoredTopics,
  topic: TopicInfo,
  qosOf: Map<string, number>,
  step: StoredStep
): void {
  if (step.kind === "append") {
    const payload = `s${qosOf.size}`
    qosOf.set(payload, step.qos)
    const { ingress } = node.shards[step.shard]?.broker.services ?? assert.fail("there are two")
    ingress.publishUnsafe(messageOf(step.name, payload, { qos: step.qos }), NOBODY)
  } else if (step.kind === "store") {
    engine.isAutomatic = step.isAutomatic
    engine.commit()
  } else {
    const partition = engine.of(topic)[step.partition % topic.partitions]
    const end = partition?.highWatermark ?? 0
    void partition?.deleteBefore(Math.floor((partition.logStartOffset + end) * step.part))
  }
}
