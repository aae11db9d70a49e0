/**
 * The meta store. This release has one voter, which needs no peers; the log, the state machine and the contract are those that
 * several voters will use. On a node that keeps nothing on disk it lies in memory.
 */
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  Clock,
  CONTRACT_VERSION,
  Files,
  Journal,
  Log,
  type MetaPlugin,
  MetaStores,
  PluginError,
  Store
} from "../../core/mod.ts"
import { inspectSnapshot } from "./inspect-snapshot.ts"
import { JournaledStore } from "./JournaledStore.ts"
import { MemoryStore } from "./MemoryStore.ts"
import { MetaState } from "./MetaState.ts"
import { SnapshotFile } from "./SnapshotFile.ts"

const options = v.strictObject({})

export const plugin: MetaPlugin = {
  name: "meta-raft",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "meta",
  runs: "node",
  options,
  inspect: (_options, request) => inspectSnapshot(request),
  layer: () =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const clock = yield* Clock
        const stores = yield* MetaStores
        const { directory, keeps } = yield* Store
        if (directory === undefined) {
          const store = new MemoryStore(clock)
          yield* Effect.addFinalizer(() => Effect.sync(() => store.close()))
          yield* stores.register("meta-raft", store)
          return
        }
        const files = yield* Files
        const file = new SnapshotFile(files, clock, directory)
        const state = new MetaState()
        const head = yield* file.load(state).pipe(Effect.mapError(failure))
        const store = new JournaledStore({ journal: yield* Journal, clock, log: yield* Log, file, state, head })
        yield* Effect.addFinalizer(() => store.close())
        yield* keeps({
          name: "meta-raft",
          copy: (target) => store.copyTo(new SnapshotFile(files, clock, target)).pipe(Effect.mapError(failure))
        })
        yield* stores.register("meta-raft", store)
      })
    )
}

function failure(message: string): PluginError {
  return new PluginError({ plugin: "meta-raft", message })
}
