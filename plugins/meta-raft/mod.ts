/**
 * The meta store. This release has one voter, which needs no peers: a command is committed when it is applied. The state machine
 * and the contract are those that several voters will use.
 */
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  Clock,
  CONTRACT_VERSION,
  type MetaPlugin,
  MetaStoreError,
  type MetaStoreShape,
  MetaStores,
  type Timer
} from "../../core/mod.ts"
import { MetaState } from "./MetaState.ts"
import { Watches } from "./Watches.ts"

const options = v.strictObject({})

export const plugin: MetaPlugin = {
  name: "meta-raft",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "meta",
  runs: "node",
  options,
  layer: () =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const clock = yield* Clock
        const stores = yield* MetaStores
        const watches = new Watches()
        const state = new MetaState((changes) => watches.publish(changes))
        let timer: Timer | undefined
        const expire = (): void => {
          timer?.cancel()
          const next = state.expireLeases(clock.monotonicMs())
          timer = next === undefined ? undefined : clock.after(next - clock.monotonicMs(), expire)
        }
        yield* Effect.addFinalizer(() => Effect.sync(() => timer?.cancel()))
        const store: MetaStoreShape = {
          get: (key) => Effect.sync(() => state.get(key)),
          range: (prefix, cursor, limit) => Effect.sync(() => state.range(prefix, cursor, limit)),
          transact: (transaction) => Effect.sync(() => state.transact(transaction)),
          watch: (prefix, changed) =>
            Effect.acquireRelease(
              Effect.sync(() => watches.add(prefix, changed, state.range(prefix, "", Number.POSITIVE_INFINITY))),
              (end) => Effect.sync(end)
            ).pipe(Effect.asVoid),
          grantLease: (ttlMs) =>
            Effect.sync(() => {
              const lease = state.grantLease(ttlMs, clock.monotonicMs())
              expire()
              return lease
            }),
          keepLeaseAlive: (lease) =>
            Effect.suspend(() =>
              state.keepLeaseAlive(lease, clock.monotonicMs())
                ? Effect.void
                : Effect.fail(new MetaStoreError({ message: `lease ${lease} has ended` }))
            ),
          revokeLease: (lease) => Effect.sync(() => state.revokeLease(lease))
        }
        yield* stores.register("meta-raft", store)
      })
    )
}
