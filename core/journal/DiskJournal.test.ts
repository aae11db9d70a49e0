import assert from "node:assert/strict"
import { test } from "node:test"
import { BACKLOG, DISK_FULL, FAILED, HELD_UP_MS_MAX, StorageError } from "../log/Engines.ts"
import { type SimulatedFault, SimulatedFiles, type SimulatedOperation } from "../platform/simulated-files.ts"
import { DIRECTORY, NotingConsumer, openRig, type Rig } from "./fakes.ts"

const write = (name: string) => ({ writes: [{ key: new TextEncoder().encode(name), value: undefined }] })

/** Operations of the disk of some names, as they come. */
function watch(rig: Rig, ...names: ReadonlyArray<string>): Array<string> {
  const seen: Array<string> = []
  rig.files.hook = ({ name }) => void (names.includes(name) && seen.push(name))
  return seen
}

/** Makes the next operation of this name fail. */
function failNext(rig: Rig, name: string, fault: SimulatedFault, where = ""): void {
  rig.files.hook = (operation: SimulatedOperation) => {
    if (operation.name !== name || !operation.pathname.includes(where)) return undefined
    rig.files.hook = undefined
    return fault
  }
}

const full: SimulatedFault = { code: "disk-full", reason: "the disk is full" }
const broken: SimulatedFault = { code: "failed", reason: "the disk failed" }

async function texts(rig: Rig): Promise<ReadonlyArray<string>> {
  await rig.close()
  rig.files.hook = undefined
  const again = await openRig({ files: rig.files })
  await again.close()
  return again.consumer.replayed.map(({ text }) => text)
}

test("what is submitted in a turn is one entry, committed after a sync, and there again after a restart", async () => {
  const rig = await openRig()
  const first = rig.journal.nextIndex
  assert.deepEqual([rig.put("a"), rig.put("b")], [1, 2])
  assert.equal(rig.journal.tickets.committed, 0)
  await rig.settle()
  assert.equal(rig.journal.tickets.committed, 2)
  assert.equal(rig.journal.nextIndex, first + 1)
  assert.equal(rig.journal.syncedIndex, first)
  await rig.close()
  const again = await openRig({ files: rig.files })
  assert.deepEqual(
    again.consumer.replayed.map(({ index, text }) => [index, text]),
    [
      [first, "a"],
      [first, "b"]
    ]
  )
  assert.deepEqual(again.log.lines, [])
  await again.close()
})

test("head and bytes stand behind each other, and are copied before the call returns", async () => {
  const rig = await openRig()
  const bytes = new TextEncoder().encode("..body..")
  const head = new TextEncoder().encode("head ")
  rig.journal.submitOperation(3, "persistent", head, bytes, 2, 6)
  bytes.fill(0)
  head.fill(0)
  assert.deepEqual(await texts(rig), ["head body"])
})

test("at commit: the store, then the consumers, then the tickets; all before the turn's output", async () => {
  const rig = await openRig()
  const seen: Array<string> = []
  rig.journal.submit(write("a"))
  rig.journal.submit(write("b"))
  rig.journal.tickets.wait({
    ticketsCommitted: () => {
      seen.push(`ticket ${rig.journal.tickets.committed}, ${rig.store.applied.length} applied, ${rig.consumer.events}`)
      rig.journal.parts.turn.deferOutput({ endTurn: () => seen.push("output") })
      rig.journal.submit(write("c"))
    }
  })
  rig.consumer.events.length = 0
  await rig.settle()
  assert.deepEqual(seen, ["ticket 2, 2 applied, persistent 2", "output"])
  assert.equal(rig.journal.tickets.committed, 3)
  assert.equal(rig.store.applied.length, 3)
})

test("turns that end while a sync is under way are entries of their own, one write and one sync for all", async () => {
  const rig = await openRig()
  const first = rig.journal.nextIndex
  let held: (() => void) | undefined
  rig.files.later = (task) => void (held = task)
  rig.put("a")
  await rig.settle()
  const seen = watch(rig, "write", "sync")
  for (const text of ["b", "c", "d"]) {
    rig.put(text)
    await rig.settle()
  }
  assert.deepEqual([seen, rig.journal.tickets.committed, rig.journal.nextIndex], [[], 0, first + 4])
  rig.files.later = (task) => rig.simulation.clock.immediate(task)
  held?.()
  await rig.settle()
  assert.deepEqual(seen, ["sync", "write", "sync"])
  assert.equal(rig.journal.tickets.committed, 4)
})

test("hybrid: committed when it is written, in the same turn, and synced after the interval; also while a sync is under way", async () => {
  const rig = await openRig({ parts: { stateDurability: "hybrid" } })
  const { journal } = rig
  const seen = watch(rig, "write", "sync")
  const ticket = journal.submit(write("a"))
  rig.simulation.step(rig.simulation.clock.monotonicMs())
  assert.equal(journal.tickets, journal.ticketsOf("hybrid"))
  assert.equal(journal.tickets.committed, ticket)
  assert.equal(rig.store.applied.length, 1)
  assert.deepEqual(seen, ["write"])
  await rig.settle(rig.simulation.clock.monotonicMs() + 199)
  assert.deepEqual(seen, ["write"])
  await rig.settle(rig.simulation.clock.monotonicMs() + 1)
  assert.deepEqual(seen, ["write", "sync"])
  rig.files.later = () => {}
  rig.put("b")
  await rig.settle()
  rig.put("c", "hybrid")
  await rig.settle()
  assert.deepEqual(seen.slice(2), ["write", "write"])
  assert.equal(journal.ticketsOf("hybrid").committed, ticket + 1)
  assert.equal(journal.ticketsOf("persistent").committed, 0)
  assert.equal(rig.store.applied.length, 1)
})

test("many segments: all comes back in order; what was applied is recycled, two files are kept", async () => {
  const rig = await openRig()
  for (let count = 0; count < 60; count++) {
    rig.put(`message ${count} ${"x".repeat(40)}`)
    await rig.settle()
  }
  assert.ok(rig.journal.segments > 4)
  assert.ok(rig.consumer.checkpoints > 0)
  await rig.close()
  const consumer = new NotingConsumer()
  const again = await openRig({ files: rig.files, consumer })
  assert.equal(consumer.replayed.length, 60)
  consumer.appliedIndex = again.journal.syncedIndex
  again.journal.released()
  await again.settle()
  assert.equal(again.journal.segments, 1)
  const spares = [...again.files.names()].filter((name) => name.endsWith(".spare"))
  assert.equal(spares.length, 2)
  await again.close()
  const last = await openRig({
    files: rig.files,
    consumer: Object.assign(new NotingConsumer(), { appliedIndex: consumer.appliedIndex })
  })
  assert.deepEqual(last.consumer.replayed, [])
})

test("an entry that is larger than a segment gets one of its size, and that file is cut when it is used again", async () => {
  const rig = await openRig()
  const large = "y".repeat(5_000)
  for (const text of ["a", large, "b"]) {
    rig.put(text)
    await rig.settle()
  }
  assert.equal(rig.journal.tickets.committed, 3)
  assert.deepEqual(await texts(rig), ["a", large, "b"])
})

test("a sync that fails: persistent operations are lost and refused, hybrid ones written again; then it goes on", async () => {
  const rig = await openRig()
  const { journal, consumer } = rig
  rig.put("before")
  await rig.settle()
  const from = journal.nextIndex
  failNext(rig, "sync", broken, ".journal")
  rig.put("kept", "hybrid")
  const lost = rig.put("lost")
  const waits = journal.whenSynced(from)
  const rejected = assert.rejects(waits, (error) => error instanceof StorageError && /disk failed/.test(error.message))
  await rig.settle()
  await rejected
  assert.equal(journal.ticketsOf("persistent").takeOutcome(lost), FAILED)
  assert.equal(journal.ticketsOf("hybrid").takeOutcome(1), 0)
  assert.ok(consumer.events.includes(`lost ${from} ${FAILED}`))
  assert.equal(journal.refusal, 0)
  assert.deepEqual(
    rig.log.lines.map((line) => line.split(" {")[0]),
    ["error the journal takes nothing until the disk does", "info the journal takes what comes again"]
  )
  rig.put("after")
  await rig.settle()
  assert.deepEqual(await texts(rig), ["before", "kept", "after"])
})

test("a write that fails in the midst while a sync is under way: what the sync covers is committed, the rest is lost", async () => {
  const rig = await openRig()
  let held: (() => void) | undefined
  rig.files.later = (task) => void (held = task)
  rig.put("synced")
  await rig.settle()
  failNext(rig, "write", { ...full, written: 70 })
  rig.put("torn", "hybrid")
  await rig.settle()
  rig.files.later = (task) => rig.simulation.clock.immediate(task)
  assert.equal(rig.journal.ticketsOf("hybrid").committed, 0)
  held?.()
  await rig.settle()
  assert.equal(rig.journal.ticketsOf("hybrid").takeOutcome(1), DISK_FULL)
  assert.equal(rig.journal.ticketsOf("persistent").takeOutcome(1), 0)
  assert.deepEqual(await texts(rig), ["synced"])
})

test("a full disk: everything is refused at once, tried again each second, and goes on without a restart", async () => {
  const rig = await openRig()
  rig.put("before")
  await rig.settle()
  rig.files.hook = ({ name }) => (name === "write" ? full : undefined)
  rig.put("lost")
  await rig.settle()
  assert.equal(rig.journal.refusal, DISK_FULL)
  rig.consumer.events.length = 0
  const [first, second] = [rig.put("refused"), rig.put("refused", "hybrid")]
  await rig.settle()
  assert.equal(rig.journal.ticketsOf("persistent").takeOutcome(first), DISK_FULL)
  assert.equal(rig.journal.ticketsOf("hybrid").takeOutcome(second), DISK_FULL)
  assert.deepEqual(rig.consumer.events, [`lost ${rig.journal.nextIndex} ${DISK_FULL}`])
  await rig.settle(rig.simulation.clock.monotonicMs() + 10_000)
  assert.equal(rig.journal.refusal, DISK_FULL)
  rig.files.hook = undefined
  await rig.settle(rig.simulation.clock.monotonicMs() + 1_000)
  assert.equal(rig.journal.refusal, 0)
  assert.equal(rig.log.lines.length, 2)
  rig.put("after")
  await rig.settle()
  assert.deepEqual(await texts(rig), ["before", "after"])
})

test("a start on a full disk: what is there is replayed, new things are refused until there is room", async () => {
  const rig = await openRig()
  rig.put("a")
  await rig.close()
  rig.files.hook = ({ name }) => (name === "write" || name === "truncate" ? full : undefined)
  const again = await openRig({ files: rig.files })
  assert.deepEqual([again.consumer.replayed.length, again.journal.refusal], [1, DISK_FULL])
  rig.files.hook = undefined
  await again.settle(again.simulation.clock.monotonicMs() + 1_000)
  assert.equal(again.journal.refusal, 0)
  again.put("b")
  assert.deepEqual(await texts(again), ["a", "b"])
})

test("a backlog: nothing is taken while consumers hold back too much, refusals keep the order, and it ends with it", async () => {
  const rig = await openRig()
  const { journal, consumer } = rig
  let count = 0
  for (; journal.refusal === 0; count++) {
    rig.put("z".repeat(500))
    await rig.settle()
    assert.ok(count < 60)
  }
  assert.equal(journal.refusal, BACKLOG)
  assert.ok(journal.segmentBytes > 4 * 4_096 && journal.segmentBytes <= 4 * 4_096 + 2 * 1_024)
  const ticket = rig.put("refused")
  await rig.settle()
  assert.equal(journal.tickets.takeOutcome(ticket), BACKLOG)
  const { checkpoints } = consumer
  await rig.settle(rig.simulation.clock.monotonicMs() + 1_000)
  assert.ok(consumer.checkpoints > checkpoints)
  // It is waited for as long as it may give way.
  assert.equal(journal.isHeldUp, true)
  await rig.settle(rig.simulation.clock.monotonicMs() + HELD_UP_MS_MAX)
  assert.deepEqual([journal.refusal, journal.isHeldUp], [BACKLOG, false])
  consumer.onCheckpoint = () => {
    consumer.appliedIndex = journal.syncedIndex
    journal.released()
  }
  await rig.settle(rig.simulation.clock.monotonicMs() + 1_000)
  assert.deepEqual([journal.refusal, journal.isHeldUp], [0, false])
  const last = rig.put("taken")
  await rig.settle()
  assert.deepEqual([journal.tickets.committed, journal.tickets.takeOutcome(last)], [last, 0])
})

test("nearly empty segments of runs that were cut off are no backlog, but their consumers are asked to let them go", async () => {
  let rig = await openRig()
  const starts = 24
  for (let start = 0; start < starts; start++) {
    const ticket = rig.put(String(start))
    await rig.settle()
    assert.deepEqual([rig.journal.refusal, rig.journal.tickets.takeOutcome(ticket)], [0, 0], `start ${start}`)
    rig.journal.segmentFiles.retire(rig.journal.segmentFiles.live.at(-1) ?? assert.fail())
    rig = await openRig({ files: rig.files })
  }
  assert.equal(rig.journal.segments, starts + 1)
  assert.ok(rig.journal.segmentBytes > 4 * 4_096)
  assert.ok(rig.consumer.checkpoints > 0)
  rig.consumer.appliedIndex = rig.journal.syncedIndex
  rig.journal.released()
  assert.equal(rig.journal.segments, 1)
  // What is full is backlog still.
  for (let count = 0; rig.journal.refusal === 0; count++) {
    rig.put("z".repeat(500))
    await rig.settle()
    assert.ok(count < 60)
  }
  assert.equal(rig.journal.refusal, BACKLOG)
})

test("a failure within a turn refuses what comes in the rest of it: an action is never half there", async () => {
  const rig = await openRig()
  rig.put("x")
  let held: (() => void) | undefined
  rig.files.later = (task) => void (held = task)
  await rig.settle()
  rig.put("first half")
  rig.files.later = (task) => rig.simulation.clock.immediate(task)
  failNext(rig, "sync", broken)
  held?.()
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  const ticket = rig.put("second half")
  await rig.settle()
  assert.equal(rig.journal.tickets.committed, ticket)
  assert.deepEqual(
    [1, 2, 3].map((each) => rig.journal.tickets.takeOutcome(each)),
    [FAILED, FAILED, FAILED]
  )
  assert.deepEqual(await texts(rig), [])
})

test("whenSynced asks for a sync where none is due, and resolves for what is synced", async () => {
  const rig = await openRig()
  await rig.journal.whenSynced(rig.journal.nextIndex)
  const index = rig.journal.nextIndex
  rig.put("a", "hybrid")
  let isSynced = false
  const synced = rig.journal.whenSynced(index).then(() => (isSynced = true))
  assert.equal(isSynced, false)
  await rig.settle()
  await synced
  assert.equal(rig.journal.syncedIndex, index)
})

test("a position covers what was submitted, and keeps its files as they are until it is released", async () => {
  const rig = await openRig()
  for (let count = 0; count < 20; count++) {
    rig.put("x".repeat(200), "hybrid")
    await rig.settle()
  }
  const asked = rig.journal.position()
  await rig.settle()
  const position = await asked
  assert.equal(position.index, rig.journal.nextIndex - 1)
  rig.consumer.appliedIndex = position.index
  rig.journal.released()
  assert.ok(rig.journal.segments > 3)
  const files = new SimulatedFiles({ trace: () => {}, later: () => {} })
  files.directories.add(DIRECTORY)
  for (const { pathname, start, end } of position.segments) {
    const file = files.openUnsafe(pathname, "create")
    file.writeUnsafe(rig.files.contentUnsafe(pathname), start, end, start)
    file.close()
  }
  const restored = await openRig({ files })
  assert.equal(restored.consumer.replayed.length, 20)
  position.release()
  position.release()
  assert.equal(rig.journal.segments, 1)
})

test("closed: what is submitted is refused, and the end is told to be clean", async () => {
  const rig = await openRig()
  rig.put("a")
  await rig.close()
  assert.equal(rig.journal.refusal, FAILED)
  const ticket = rig.put("b")
  await rig.settle()
  assert.equal(rig.journal.tickets.takeOutcome(ticket), FAILED)
  assert.deepEqual(await texts(rig), ["a"])
})

test("the next index is above what a consumer has put away, although the journal ends before", async () => {
  const rig = await openRig()
  rig.put("a")
  await rig.close()
  const ahead = Object.assign(new NotingConsumer(), { appliedIndex: 40 })
  const again = await openRig({ files: rig.files, consumer: ahead })
  assert.equal(again.journal.nextIndex, 42)
  again.put("b")
  await again.close()
  const last = await openRig({ files: rig.files, consumer: Object.assign(new NotingConsumer(), { appliedIndex: 40 }) })
  assert.deepEqual(
    last.consumer.replayed.map(({ index, text }) => [index, text]),
    [[42, "b"]]
  )
})

test("a consumer that lags and one that is ahead each get their own", async () => {
  const rig = await openRig()
  for (const text of ["a", "b", "c"]) {
    rig.put(text)
    await rig.settle()
  }
  await rig.close()
  const again = await openRig({ files: rig.files, consumer: Object.assign(new NotingConsumer(), { appliedIndex: 3 }) })
  assert.deepEqual(
    again.consumer.replayed.map(({ text }) => text),
    ["c"]
  )
})

test("what its files take is those in use and the one that is prepared; those that wait to be used again are apart", async () => {
  const rig = await openRig()
  const { journal, consumer } = rig
  consumer.onCheckpoint = () => {}
  const sizes = (): { readonly used: number; readonly all: number } => {
    const { usedBytes, freeBytes } = journal.fileBytes
    let bytes = 0
    for (const name of rig.files.names()) bytes += rig.files.contentUnsafe(name).length
    assert.equal(usedBytes + freeBytes, bytes)
    return { used: usedBytes, all: bytes }
  }
  for (let count = 0; count < 12; count++) {
    rig.put("z".repeat(500))
    await rig.settle()
  }
  const before = sizes()
  assert.equal(before.used, before.all)
  consumer.appliedIndex = journal.syncedIndex
  journal.released()
  await rig.settle()
  const after = sizes()
  assert.ok(after.used < before.used && after.all <= before.all)
})
