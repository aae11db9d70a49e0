/** Backups of a journal on its disk while it is written to: what the state's copy lacks is in the copied segments. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { NotingConsumer, openRig, type Rig } from "../journal/fakes.ts"
import { openDataDirectory, storeDirectoryOf } from "../node/data-directory.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { createBackup } from "./create-backup.ts"
import { restoreBackup } from "./restore-backup.ts"

const DATA = "/srv/data"

async function makeStore(files: SimulatedFiles): Promise<string> {
  const scope = Scope.makeUnsafe()
  const opening = openDataDirectory({
    directory: DATA,
    files,
    random: Xoshiro128.seeded(1, 0),
    shards: 1,
    version: "0.1.0",
    log: { warn: () => {} }
  })
  await Effect.runPromise(Scope.provide(opening, scope))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  const directory = join(storeDirectoryOf(DATA, 0), "journal")
  await Effect.runPromise(files.ensureWritableDirectory(directory))
  return directory
}

async function put(rig: Rig, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    rig.put(`message ${number} ${"x".repeat(60)}`)
    await rig.settle()
  }
}

test("what is behind the state's copy is replayed from the backup, though segments are given back meanwhile", async () => {
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => setImmediate(task) })
  const directory = await makeStore(files)
  const consumer = new NotingConsumer()
  const rig = await openRig({ files, consumer, parts: { directory } })
  await put(rig, 0, 20)
  consumer.appliedIndex = rig.journal.syncedIndex
  rig.journal.released()
  await put(rig, 20, 30)
  const copied = rig.journal.syncedIndex
  let isDone = false
  const part = {
    name: "noting",
    copy: () =>
      Effect.promise(async () => {
        const index = rig.journal.syncedIndex
        // The state goes on: it has put away everything, so that its segments could go.
        await put(rig, 30, 40)
        consumer.appliedIndex = rig.journal.syncedIndex
        rig.journal.released()
        await put(rig, 40, 60)
        return index
      })
  }
  const backup = Effect.runPromise(
    createBackup({
      directory: DATA,
      target: "/srv/backup",
      files,
      stores: [
        {
          number: 0,
          parts: () => [part],
          hold: () => rig.journal.position(),
          synced: () => ({ index: rig.journal.syncedIndex, segments: rig.journal.segmentFiles.synced() })
        }
      ],
      node: "node-1",
      version: "0.1.0",
      nowMs: () => 0,
      pace: async () => {}
    })
  ).finally(() => (isDone = true))
  backup.catch(() => {})
  while (!isDone) await rig.settle()
  const manifest = await backup
  await rig.close()
  assert.ok((manifest.stores[0]?.journal_index ?? 0) >= copied + 30, JSON.stringify(manifest.stores))

  files.later = (task) => setImmediate(task)
  const options = { backup: "/srv/backup", target: "/srv/new", files, pace: async () => {}, damaged: assert.fail }
  await Effect.runPromise(restoreBackup(options))
  const again = new NotingConsumer()
  again.appliedIndex = copied
  const place = join(storeDirectoryOf("/srv/new", 0), "journal")
  const restored = await openRig({ files, consumer: again, parts: { directory: place } })
  assert.deepEqual(
    again.replayed.map(({ text }) => Number(text.split(" ")[1])),
    Array.from({ length: 30 }, (_, index) => index + 30)
  )
  assert.deepEqual(restored.log.lines, [])
  await restored.close()
})
