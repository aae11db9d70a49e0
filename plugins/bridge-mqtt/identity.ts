/** What this broker is called at remotes and in messages: made once, by nothing that another one could have in common with it. */
import { Effect } from "effect"
import type { MetaStoreError, MetaStoreShape, RandomShape } from "../../core/mod.ts"

const KEY = "bridge-mqtt/identity"
const BYTES = 6

/** The same on every shard and after a restart; 12 of 0-9 a-f. */
export function identityOf(meta: MetaStoreShape, random: RandomShape): Effect.Effect<string, MetaStoreError> {
  return Effect.gen(function* () {
    const known = yield* meta.get(KEY)
    if (known !== undefined) return known.value.toHex()
    const made = new Uint8Array(BYTES)
    random.fill(made, 0, BYTES)
    const { committed } = yield* meta.transact({
      compare: [{ key: KEY, version: 0 }],
      writes: [{ key: KEY, value: made }]
    })
    // Another shard was faster.
    const kept = committed ? made : ((yield* meta.get(KEY))?.value ?? made)
    return kept.toHex()
  })
}
