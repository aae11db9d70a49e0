/** Whether more waits for the remote than may: the session here passes over what is too much when it is connected to. */
import { Effect } from "effect"
import type { ClockShape, Resource, ShardShape } from "../../core/mod.ts"
import { sleep } from "./background.ts"
import type { LinkError } from "./LinkError.ts"
import type { BridgeSettings } from "./Settings.ts"
import { type SessionFacts, sessionFacts } from "./session-facts.ts"

/** How long this broker may take to look at what waits, and how often it is asked whether it has, ms. */
const BOUND_MS = 2_000
const ASK_MS = 20

type Bounds = Pick<BridgeSettings, "queue_messages_max" | "queue_bytes_max" | "queue_age_max">

interface Parts {
  readonly bridge: {
    readonly settings: Bounds
    readonly clientIdentifier: string
    readonly counts: { readonly gaps: number }
  }
  readonly shard: Pick<ShardShape, "count">
  readonly clock: ClockShape
  readonly resources: () => ReadonlyArray<Resource>
}

/** Whether more waits than may: messages or bytes of all shards together, or older ones. */
export function isOver({ messages, bytes, since }: SessionFacts, { bridge, shard, clock }: Parts): boolean {
  const { queue_messages_max, queue_bytes_max, queue_age_max } = bridge.settings
  if (messages > queue_messages_max * shard.count || bytes > queue_bytes_max * shard.count) return true
  return queue_age_max !== 0 && since !== null && clock.nowMs() - Date.parse(since) > queue_age_max * 1_000
}

/**
 * While the session here is connected to: settled when no more waits than may, or something was given up, or that takes too long. What
 * is published meanwhile is for the next time.
 */
export function untilBounded(gapsBefore: number, before: SessionFacts, parts: Parts): Effect.Effect<void, LinkError> {
  const { bridge, clock, resources } = parts
  return Effect.gen(function* () {
    const endMs = clock.monotonicMs() + BOUND_MS
    let facts: SessionFacts | undefined = before
    while (facts !== undefined && isOver(facts, parts) && clock.monotonicMs() < endMs) {
      const isApplied = bridge.counts.gaps > gapsBefore
      yield* sleep(clock, ASK_MS)
      // Other queue logs had as much time.
      if (isApplied) return
      facts = yield* sessionFacts(resources, bridge.clientIdentifier)
    }
  })
}
