import assert from "node:assert/strict"
import { after, test } from "node:test"
import { append, Bench, batchOf, fastClock, keyOf, makeDisk, UNLIMITED } from "./testing.ts"

const bench = new Bench()
after(() => bench.close())

test("what goes for its age and what goes for the size is counted apart, and told in one line a minute", async () => {
  let [nowMs, monotonicMs] = [1_700_000_000_000, 0]
  const clock = { ...fastClock, nowMs: () => nowMs, monotonicMs: () => monotonicMs }
  const store = await bench.open(makeDisk(), { clock, settings: { segment_bytes: 1_000 } })
  const { checkpoints, writer } = store.store
  const bySize = await bench.partition(store, keyOf("size"), { ...UNLIMITED, sizeBytesMax: 2_500 })
  const byAge = await bench.partition(store, keyOf("age"), { ...UNLIMITED, ageMsMax: 60_000 })
  for (let count = 0; count < 6; count++) await append(bySize, batchOf([count], 900))
  await append(byAge, batchOf([1], 900))
  await checkpoints.flush()
  const told = (): number => store.lines.filter((line) => line.includes("keep no longer")).length
  assert.ok(writer.trimmed.forSize > 0 && bySize.logStartOffset > 0)
  assert.deepEqual([writer.trimmed.forAge, told()], [0, 1])
  nowMs += 120_000
  monotonicMs += 30_000
  await append(byAge, batchOf([2], 900))
  await checkpoints.flush()
  assert.equal(byAge.logStartOffset, 1)
  assert.ok(writer.trimmed.forAge > 900 && writer.trimmed.forAge < 1_100)
  assert.equal(told(), 1, "not within a minute")
  monotonicMs += 60_000
  await append(byAge, batchOf([3], 10))
  await checkpoints.flush()
  assert.equal(told(), 2)
  assert.match(store.lines.join("\n"), /info records went .*"for_age_bytes":9\d\d/)
})
