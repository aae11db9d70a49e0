/** An engine on a directory of its own with the journal that feeds it: what a shard has, without protocols and without sessions. */
import { Effect, Exit, Scope } from "effect"
import type { Engine, Mode, Partition, PartitionKey } from "../../core/mod.ts"
import { openTestStore as openSegments } from "../../plugins/storage-segment/fakes.ts"
import { openTestStore as openSqlite } from "../../plugins/storage-sqlite/fakes.ts"

export const ENGINES = ["sqlite", "segment"] as const
export type EngineName = (typeof ENGINES)[number]

export interface OpenedEngine {
  readonly engine: Engine
  /** `committed` is told when the high watermark has risen. */
  open(key: PartitionKey, mode: Mode, committed?: () => void): Promise<Partition>
  /** Puts away everything that is committed. */
  flush(): Promise<void>
  /** A graceful stop; and what a killed process leaves. */
  close(): Promise<void>
  kill(): Promise<void>
}

const UNLIMITED = { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax: 0 }

/** Opens it with the settings that a node has by default. */
export async function openEngine(name: EngineName, directory: string): Promise<OpenedEngine> {
  const scope = Scope.makeUnsafe()
  const opened = name === "sqlite" ? await openSqlite(directory, { isThreaded: true }) : await openSegments(directory)
  const { engine, store } = opened
  return {
    engine,
    open: (key, mode, committed = () => {}) => {
      const events = { committed, failed: (reason: string) => console.error(reason) }
      return Effect.runPromise(Scope.provide(engine.open(key, { limits: UNLIMITED, mode, events }), scope))
    },
    flush: () => store.checkpoints.flush(),
    close: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await opened.close()
    },
    kill: () => opened.kill()
  }
}
