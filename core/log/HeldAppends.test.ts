import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { producerBatch } from "../producers/fakes.ts"
import { BACKLOG } from "./Engines.ts"
import { HELD_BYTES_MAX, HELD_MS_MAX, HeldAppends, LOOK_INTERVAL_MS } from "./HeldAppends.ts"
import { type AppendResult, NOT_AVAILABLE } from "./Logs.ts"
import { refusedAppend } from "./local-answers.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import { BASE_SEQUENCE_POSITION } from "./record-batch.ts"

function make() {
  const simulation = new Simulation(1)
  const full = new Set<string>()
  const gone = new Set<string>()
  const opening = new Set<string>()
  const journal = { isHeldUp: false }
  const appended: Array<string> = []
  const logs = new Map<string, PartitionLog>()
  const logOf = (id: string): PartitionLog => {
    const known = logs.get(id)
    const admits = (): boolean => !full.has(id)
    const made = { topic: { id }, partition: 0, admits, whenAppendable: () => undefined } as unknown as PartitionLog
    if (known === undefined) logs.set(id, made)
    return known ?? made
  }
  const held = new HeldAppends({
    clock: simulation.clock,
    isHeldUp: () => journal.isHeldUp,
    logOf: (id) => (gone.has(id) ? undefined : opening.has(id) ? "opening" : logOf(id)),
    append: (log, bytes, recordCount) => {
      if (log === undefined) return refusedAppend(NOT_AVAILABLE)
      appended.push(`${log.topic.id}${bytes[0]}`)
      return { refusal: 0, baseOffset: recordCount, logStartOffset: 0, appendTimeMs: -1 }
    }
  })
  const told: Array<string> = []
  const hold = async (id: string, mark: number, size = 3): Promise<AppendResult> => {
    const bytes = new Uint8Array(size + 1).fill(mark)
    const answer = held.hold(logOf(id), bytes, 1, size + 1, 7)
    // It was copied.
    bytes.fill(0)
    const result = await answer
    told.push(`${id}${mark} ${result.refusal}`)
    return result
  }
  let ms = 0
  const pass = (forMs: number): Promise<unknown> => simulation.runAsync((ms += forMs))
  return { held, full, gone, opening, journal, appended, told, logOf, hold, pass }
}

test("batches wait until there is room, those of a partition in their order, and nobody waits for another partition", async () => {
  const { held, full, appended, told, logOf, hold, pass } = make()
  for (const id of ["a", "b"]) full.add(id)
  assert.equal(held.mustWait(logOf("a"), 3), true)
  for (const [id, mark] of [
    ["a", 1],
    ["b", 2],
    ["a", 3]
  ] as const)
    void hold(id, mark)
  await pass(10 * LOOK_INTERVAL_MS)
  assert.deepEqual([appended, told], [[], []])
  full.delete("a")
  // There is room, and some of it wait already.
  assert.equal(held.mustWait(logOf("a"), 3), true)
  await pass(2 * LOOK_INTERVAL_MS)
  assert.deepEqual(
    [appended, told],
    [
      ["a1", "a3"],
      ["a1 0", "a3 0"]
    ]
  )
  assert.equal(held.mustWait(logOf("a"), 3), false)
  full.delete("b")
  await pass(2 * LOOK_INTERVAL_MS)
  assert.deepEqual(told, ["a1 0", "a3 0", "b2 0"])
  assert.equal(held.count, 0)
})

test("one that waits for too long is refused and not stored; so is one of a partition that is gone, or hangs in being opened", async () => {
  const { full, gone, opening, appended, told, hold, pass } = make()
  for (const id of ["a", "b", "c"]) full.add(id)
  void hold("a", 1)
  void hold("b", 2)
  await pass(HELD_MS_MAX / 2)
  void hold("a", 3)
  void hold("c", 4)
  gone.add("c")
  opening.add("b")
  await pass(HELD_MS_MAX / 2 + 2 * LOOK_INTERVAL_MS)
  assert.deepEqual(told, [`c4 ${NOT_AVAILABLE}`, `a1 ${BACKLOG}`, `b2 ${BACKLOG}`])
  full.clear()
  await pass(2 * LOOK_INTERVAL_MS)
  assert.deepEqual([told.at(-1), appended], ["a3 0", ["a3"]])
})

test("while there is no room for what is kept beside the logs those of all partitions wait", async () => {
  const { held, journal, appended, logOf, hold, pass } = make()
  assert.equal(held.mustWait(logOf("a"), 3), false)
  journal.isHeldUp = true
  assert.equal(held.mustWait(logOf("a"), 3), true)
  for (const id of ["a", "b"]) void hold(id, 1)
  await pass(10 * LOOK_INTERVAL_MS)
  assert.deepEqual(appended, [])
  journal.isHeldUp = false
  await pass(2 * LOOK_INTERVAL_MS)
  assert.deepEqual(appended, ["a1", "b1"])
})

test("what waits is bounded", async () => {
  const { held, full, logOf, hold, pass, told } = make()
  full.add("a")
  const size = HELD_BYTES_MAX / 4
  for (let mark = 1; mark <= 3; mark++) void hold("a", mark, size)
  const refused = await held.hold(logOf("a"), new Uint8Array(size), 0, size, 1)
  assert.equal(refused.refusal, BACKLOG)
  assert.equal(held.count, 3)
  full.delete("a")
  await pass(2 * LOOK_INTERVAL_MS)
  assert.deepEqual(told, ["a1 0", "a2 0", "a3 0"])
})

test("what is refused is noted for its producer, when what is known of it has been read", async () => {
  const { held, full, hold, logOf, pass } = make()
  full.add("a")
  const noted: Array<number> = []
  let ready: ((outcome: number) => void) | undefined
  const log = Object.assign(logOf("a"), {
    whenAppendable: () => (ready === undefined ? undefined : new Promise<number>((resolve) => (ready = resolve))),
    producers: { refused: (bytes: Uint8Array, start: number) => void noted.push(sequenceOf(bytes, start)) }
  }) as unknown as PartitionLog
  const wait = (sequence: number): unknown => {
    const bytes = producerBatch({ id: 7, sequence })
    return held.hold(log, bytes, 0, bytes.length, 1)
  }
  void wait(0)
  await pass(HELD_MS_MAX + 2 * LOOK_INTERVAL_MS)
  assert.deepEqual(noted, [0])
  const size = HELD_BYTES_MAX / 4
  for (let mark = 1; mark <= 3; mark++) void hold("a", mark, size)
  const large = new Uint8Array(size)
  large.set(producerBatch({ id: 7, sequence: 5 }))
  ready = () => {}
  assert.equal(((await held.hold(log, large, 0, large.length, 1)) as AppendResult).refusal, BACKLOG)
  assert.deepEqual(noted, [0])
  ready(0)
  await pass(1)
  assert.deepEqual(noted, [0, 5])
})

const sequenceOf = (bytes: Uint8Array, start: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getInt32(start + BASE_SEQUENCE_POSITION)
