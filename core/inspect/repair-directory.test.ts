import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import { openRig } from "../journal/fakes.ts"
import { openDataDirectory, storeDirectoryOf } from "../node/data-directory.ts"
import { StartError } from "../node/StartError.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import type { RepairRequest, RepairStep } from "../plugin/Inspection.ts"
import { CONTRACT_VERSION, PluginError, type StoragePlugin } from "../plugin/Plugin.ts"
import { type RepairReport, repairDirectory } from "./repair-directory.ts"

const DATA = "/srv/data"
const step: RepairStep = { action: "rewrite", pathname: "/x", message: "made anew", needs: "", isDone: true }

/** A directory of two stores, the first of which has a journal. */
async function directory(): Promise<SimulatedFiles> {
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => setImmediate(task) })
  const scope = Scope.makeUnsafe()
  const about = { directory: DATA, files, random: Xoshiro128.seeded(1, 0), shards: 2, version: "0.1.0" }
  await Effect.runPromise(Scope.provide(openDataDirectory({ ...about, log: { warn: () => {} } }), scope))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  const pathname = join(storeDirectoryOf(DATA, 0), "journal")
  await Effect.runPromise(files.ensureWritableDirectory(pathname))
  const rig = await openRig({ files, parts: { directory: pathname } })
  rig.put("one")
  await rig.settle()
  await rig.close()
  files.later = (task) => setImmediate(task)
  return files
}

function storage(name: string, repair: NonNullable<StoragePlugin["repair"]>): StoragePlugin {
  const base = { name, version: "1.0.0", contractVersion: CONTRACT_VERSION, options: v.strictObject({}) }
  return { ...base, kind: "storage", runs: "shard", engines: [], layer: () => Layer.empty as never, repair }
}

function run(files: SimulatedFiles, ...plugins: ReadonlyArray<StoragePlugin>): Promise<RepairReport> {
  return Effect.runPromise(
    repairDirectory({
      ...{ directory: DATA, files, nowMs: 5, pace: async () => {} },
      ...{ isApplied: true, broken: "truncate", rebuildsManifest: true },
      plugins: plugins.map((plugin) => ({ plugin, options: { key: "value" } }))
    })
  )
}

test("each plugin is asked of each store, under the lock, and told behind which entry the journal begins", async () => {
  const files = await directory()
  const asked: Array<unknown> = []
  let isHeld = false
  const plugin = storage("mine", (options, request: RepairRequest) => {
    const { store, directory: own, isApplied, broken, rebuildsManifest, journalBegins, nowMs } = request
    asked.push([options, store, own, isApplied, broken, rebuildsManifest, journalBegins, nowMs])
    isHeld = new TextDecoder().decode(files.contentUnsafe(join(DATA, "holder"))) === "manifold storage repair\n"
    return Effect.succeed(store === 0 ? [step] : [])
  })
  const report = await run(files, plugin)
  assert.deepEqual(report.steps, [{ ...step, store: 0, owner: "mine" }])
  assert.ok(isHeld && report.isApplied && report.stores === 2)
  const about = [true, "truncate", true]
  assert.deepEqual(asked, [
    [{ key: "value" }, 0, join(DATA, "store-0"), ...about, 0, 5],
    [{ key: "value" }, 1, join(DATA, "store-1"), ...about, undefined, 5]
  ])
  assert.ok(![...files.names()].includes(join(DATA, "holder")))
})

test("a plugin that fails, dies or answers anything else is a step of its own; the others are asked", async () => {
  const answers: ReadonlyArray<readonly [NonNullable<StoragePlugin["repair"]>, RegExp]> = [
    [
      () => Effect.fail(new PluginError({ plugin: "mine", message: "/x: the disk is full" })),
      /mine could not go on: \/x: /
    ],
    [() => Effect.die(new Error("boom")), /could not go on: boom/],
    [() => Effect.succeed([{ ...step, action: "Not a word" }]), /it answers with 0\.action: /],
    [() => undefined as never, /it answers with no effect/]
  ]
  for (const [repair, says] of answers) {
    const files = await directory()
    const { steps } = await run(
      files,
      storage("mine", repair),
      storage("other", () => Effect.succeed([step]))
    )
    const [first, second] = steps
    assert.match(first?.message ?? "", says)
    assert.deepEqual([first?.action, first?.isDone, second?.owner, steps.length], ["failed", false, "other", 4])
  }
})

test("a directory that is in use, a backup, or none of ours is refused, and nobody is asked", async () => {
  const never = storage("mine", () => Effect.die(new Error("asked")))
  const refusal = (files: SimulatedFiles): Promise<string> =>
    run(files, never).then(
      ({ steps }) => `asked: ${steps.length}`,
      (error) => (error instanceof StartError ? error.message : String(error))
    )
  const used = await directory()
  used.faults.set(join(DATA, "lock"), { code: "locked", reason: "another process uses it" })
  assert.equal(await refusal(used), `node.data: cannot use "${DATA}": another process uses it`)
  const backup = await directory()
  backup.openUnsafe(join(DATA, "backup.json"), "create").close()
  assert.match(await refusal(backup), /it is a backup/)
  const none = await directory()
  await Effect.runPromise(none.remove(join(DATA, "format")))
  assert.match(await refusal(none), /it is no data directory/)
})
