import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import type { Engine } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore } from "../../plugins/storage-segment/fakes.ts"
import { engineContract } from "./engine-contract.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-segment-"))
const opened = new Map<Engine, TestStore>()
let folders = 0

after(async () => {
  await Promise.all([...opened.values()].map((store) => store.kill()))
  rmSync(root, { recursive: true, force: true })
})

const freshFolder = (): string => join(root, String(++folders))

async function open(folder: string, nowMs: () => number): Promise<Engine> {
  const clock = { ...systemClock, nowMs }
  // So small that checkpoints come in the middle of everything, that most reads are cold, and that few files may be open.
  const settings = {
    checkpoint_interval_ms: 10,
    checkpoint_bytes: 20_000,
    hot_bytes_max: 30_000,
    cold_bytes_max: 300_000,
    index_bytes_max: 2_000,
    segment_bytes: 3_000,
    open_files_max: 4
  }
  const store = await openTestStore(folder, { clock, settings, journal: { segmentBytes: 65_536 } })
  opened.set(store.engine, store)
  return store.engine
}

engineContract("storage-segment", (nowMs) => open(freshFolder(), nowMs), {
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
