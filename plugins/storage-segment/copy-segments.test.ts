import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { copySegments } from "./copy-segments.ts"
import { inspect } from "./inspect.ts"
import { Bench, logsOf, makeDisk, reopened, storeBatches } from "./testing.ts"

test("a copy is made without an index that is missing, which is made anew; not without a segment", async () => {
  const bench = new Bench()
  const stored = await storeBatches(bench, makeDisk(), 1, 60)
  const [log = ""] = logsOf(stored.files)
  await Effect.runPromise(stored.files.remove(log.replace(/log$/, "index")))
  const { files, store } = await reopened(bench, stored)
  const applied = await copySegments(store.store, files, "/copy")
  assert.equal(applied, store.store.checkpoints.appliedIndex)
  const request = { depth: "verify", store: 0, directory: "/copy", files, pace: () => Promise.resolve() } as const
  const [report] = await Effect.runPromise(inspect({}, request))
  assert.deepEqual(
    report?.damage.map(({ pathname, remedy }) => [pathname.endsWith(".index"), remedy.includes("made anew")]),
    [[true, true]]
  )
  assert.equal(report?.counts["batches"], 60)
  await Effect.runPromise(files.remove(log))
  await store.close()
  const again = await reopened(bench, { ...stored, store })
  await assert.rejects(copySegments(again.store.store, files, "/second"), /no such file/)
  await bench.close()
})
