import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import { type Engine, openSqlite, type SqliteDatabase } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore } from "../../plugins/storage-sqlite/fakes.ts"
import { SqliteKeyValueStore } from "../../plugins/storage-sqlite/SqliteKeyValueStore.ts"
import { StoreThread } from "../../plugins/storage-sqlite/StoreThread.ts"
import { engineContract } from "./engine-contract.ts"
import { keyValueContract } from "./key-value-contract.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-sqlite-"))
const opened = new Map<Engine, TestStore>()
let folders = 0

after(async () => {
  await Promise.all([...opened.values()].map((store) => store.kill()))
  rmSync(root, { recursive: true, force: true })
})

const freshFolder = (): string => join(root, String(++folders))

async function open(folder: string, nowMs: () => number): Promise<Engine> {
  const clock = { ...systemClock, nowMs }
  // So small that checkpoints come in the middle of everything, and that most reads are cold.
  const settings = { checkpoint_interval_ms: 10, checkpoint_bytes: 20_000, hot_bytes_max: 30_000 }
  const store = await openTestStore(folder, { clock, settings, journal: { segmentBytes: 65_536 } })
  opened.set(store.engine, store)
  return store.engine
}

engineContract("storage-sqlite", (nowMs) => open(freshFolder(), nowMs), {
  modes: ["hybrid", "persistent"],
  takesCopies: true,
  limits: "late",
  modelRuns: 15,
  putAway: async (engine) => opened.get(engine)?.store.checkpoints.flush(),
  trimmed: async () => {
    for (const { store } of opened.values()) await store.checkpoints.flush()
  },
  restarted: async (engine, nowMs, how) => {
    const folder = freshFolder()
    const store = opened.get(engine)
    if (store === undefined) throw new Error("an engine of this file")
    if (how === "stop") {
      await store.store.checkpoints.flush()
      await store.store.checkpoints.flush(true)
    }
    store.copy(folder)
    return open(folder, nowMs)
  }
})

// Nothing is put away here, so that one database serves all; what a checkpoint does to reads is tried in plugins/storage-sqlite.
let reading: SqliteDatabase | undefined
const thread = StoreThread.inline(systemClock)
after(() => {
  reading?.close()
  thread.stop()
})
keyValueContract("storage-sqlite", async () => {
  if (reading === undefined) {
    const pathname = join(root, "key-value.sqlite")
    await thread.request<"open">({ kind: "open", pathname, cacheBytes: 1_048_576, walBytes: 1_048_576 })
    reading = openSqlite(pathname, { readOnly: true })
  }
  return new SqliteKeyValueStore(thread, reading, 0)
})
