import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { messageOf } from "../ingress/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { ManualJournal, OrderedStore, pause } from "../queue/fakes.ts"
import { BACKLOG, DISK_FULL, FAILED, type LogStart, type PartitionKey, StorageError } from "./Engines.ts"
import { ArrayPartition } from "./fakes.ts"
import { decodeLogStart, encodeLogStart, offsetKey } from "./offset-rows.ts"
import { PartitionLog } from "./PartitionLog.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import {
  BLOCK_MS,
  BLOCK_OFFSETS_MAX,
  BLOCK_OFFSETS_MIN,
  type OffsetReservation,
  RETRY_MS,
  ReservedOffsets
} from "./ReservedOffsets.ts"

const KEY: PartitionKey = { tenant: 0, topicId: "00000000-0000-4000-8000-000000000000", partition: 3 }
const HALF = BLOCK_OFFSETS_MIN / 2

/** A shard whose journal commits when the test says so. */
function rig(store = new OrderedStore()) {
  const simulation = new Simulation(1)
  const journal = new ManualJournal(store)
  const offsets = new ReservedOffsets({ journal, store, clock: simulation.clock })
  const row = (key = KEY): LogStart | undefined => {
    const value = store.get(offsetKey(key))
    return value === undefined ? undefined : decodeLogStart(value)
  }
  const settle = async (): Promise<void> => {
    journal.commit()
    await pause()
  }
  return { simulation, store, journal, offsets, row, settle }
}
type Rig = ReturnType<typeof rig>

/** A reservation that is being made, or was; `close` ends its scope. */
function acquire({ offsets }: Pick<Rig, "offsets">, key = KEY) {
  const scope = Scope.makeUnsafe()
  let outcome: Exit.Exit<OffsetReservation, StorageError> | undefined
  Effect.runFork(Scope.provide(offsets.acquire(key), scope)).addObserver((exit) => {
    outcome = exit
  })
  const close = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  return { outcome: () => outcome, close }
}

async function acquired(
  given: Rig,
  key = KEY
): Promise<{ reservation: OffsetReservation; close: () => Promise<void> }> {
  const { outcome, close } = acquire(given, key)
  await given.settle()
  await pause()
  const exit = outcome()
  assert.ok(exit !== undefined && Exit.isSuccess(exit))
  return { reservation: exit.value, close }
}

test("the rows, byte by byte; another form is refused in words", () => {
  const key = Buffer.from(offsetKey({ tenant: 1, topicId: "ab", partition: 258 })).toString("hex")
  assert.equal(key, "6c6f0000000161620000000102")
  const value = encodeLogStart({ offset: 4_294_967_298, leaderEpoch: 7 })
  assert.equal(Buffer.from(value).toString("hex"), "01000000010000000200000007")
  assert.deepEqual(decodeLogStart(value), { offset: 4_294_967_298, leaderEpoch: 7 })
  for (const other of [new Uint8Array(0), value.subarray(0, 12), Uint8Array.of(2, ...value.subarray(1))]) {
    assert.throws(() => decodeLogStart(other), StorageError)
  }
})

test("nothing is given out before the first block is synced, committed is not enough", async () => {
  const given = rig()
  const synced = Promise.withResolvers<void>()
  given.journal.synced = synced.promise
  const { outcome } = acquire(given)
  await pause()
  assert.deepEqual([given.journal.pending, outcome()], [1, undefined])
  await given.settle()
  assert.equal(outcome(), undefined)
  synced.resolve()
  await pause()
  await pause()
  assert.ok(outcome() !== undefined)
  assert.deepEqual(given.row(), { offset: BLOCK_OFFSETS_MIN, leaderEpoch: 1 })
})

test("the next block is asked for when half is used, and appends go on meanwhile up to what is reserved, no further", async () => {
  const given = rig()
  const { reservation } = await acquired(given)
  given.simulation.run(3_600_000)
  assert.ok(reservation.admits(HALF, 0))
  assert.equal(given.journal.pending, 0)
  assert.ok(reservation.admits(HALF + 1, 0))
  assert.equal(given.journal.pending, 1)
  // The journal stands still.
  for (let end = HALF + 2; end <= BLOCK_OFFSETS_MIN; end += 13) assert.ok(reservation.admits(end, 0))
  assert.ok(reservation.admits(BLOCK_OFFSETS_MIN, 0))
  assert.ok(!reservation.admits(BLOCK_OFFSETS_MIN + 1, 0))
  assert.ok(!reservation.admits(BLOCK_OFFSETS_MIN + 1, 0))
  assert.deepEqual([given.journal.pending, given.offsets.refusals], [1, 2])
  await given.settle()
  assert.deepEqual(given.row(), { offset: 2 * BLOCK_OFFSETS_MIN, leaderEpoch: 1 })
  assert.ok(reservation.admits(BLOCK_OFFSETS_MIN + 1, 0))
  assert.deepEqual([given.offsets.blocks, given.offsets.failures, given.journal.pending], [2, 0, 0])
})

test("a block has what is used in its time, so that a fast log asks as seldom as a slow one", async () => {
  const given = rig()
  const { clock } = given.simulation
  const { reservation } = await acquired(given)
  let end = 0
  /** Offsets a millisecond for so long, with a journal that commits `lateMs` after it is asked; how often it was. */
  const drive = async (perMs: number, forMs: number, lateMs: number): Promise<number> => {
    const before = given.offsets.blocks
    let askedMs = Number.POSITIVE_INFINITY
    for (const untilMs = clock.monotonicMs() + forMs; clock.monotonicMs() < untilMs; ) {
      given.simulation.run(clock.monotonicMs() + 10)
      end += 10 * perMs
      assert.ok(reservation.admits(end, 0))
      if (given.journal.pending > 0) askedMs = Math.min(askedMs, clock.monotonicMs())
      if (clock.monotonicMs() - askedMs < lateMs) continue
      askedMs = Number.POSITIVE_INFINITY
      await given.settle()
    }
    return given.offsets.blocks - before
  }
  // Until the rate is known it must not be faster than the disk.
  await drive(10_000, 200, 0)
  assert.ok((await drive(10_000, 60_000, BLOCK_MS / 3)) <= 14)
  assert.ok((await drive(100, 60_000, BLOCK_MS / 3)) <= 14)
  assert.equal(given.offsets.refusals, 0)
  const used = end
  assert.ok(
    (given.row()?.offset ?? 0) - used <= 100 * BLOCK_MS + 10_000 * BLOCK_MS,
    "no more than a block is passed over"
  )
})

test("a batch of more records than a block has is refused once, and asked for", async () => {
  const given = rig()
  const { reservation } = await acquired(given)
  const end = 3 * BLOCK_OFFSETS_MAX
  assert.ok(!reservation.admits(end, 0))
  await given.settle()
  assert.ok(reservation.admits(end, 0))
})

test("a graceful stop takes back what was not used, and the epoch; a crash neither", async () => {
  const given = rig()
  const first = await acquired(given)
  assert.deepEqual(first.reservation.start, { offset: 0, leaderEpoch: 0 })
  assert.ok(first.reservation.admits(1_234, 5))
  first.reservation.ended({ offset: 1_234, leaderEpoch: 5 })
  assert.ok(!first.reservation.admits(1_234, 5), "it has ended")
  const closed = first.close()
  await pause()
  await given.settle()
  await closed
  assert.deepEqual(given.row(), { offset: 1_234, leaderEpoch: 5 })
  const second = await acquired(given)
  assert.deepEqual(second.reservation.start, { offset: 1_234, leaderEpoch: 5 })
  // It dies: what the store has is all there is.
  const next = rig(given.store)
  const third = await acquired(next)
  assert.deepEqual(third.reservation.start, { offset: 1_234 + BLOCK_OFFSETS_MIN, leaderEpoch: 6 })
  // One that was never used has no end to tell of, and leaves the row as it is.
  const row = next.row()
  await third.close()
  assert.deepEqual([next.row(), next.journal.pending], [row, 0])
})

test("an epoch that rises while the log is open is passed over after a crash, too", async () => {
  const given = rig()
  const { reservation } = await acquired(given)
  assert.ok(reservation.admits(HALF + 1, 9))
  await given.settle()
  assert.equal(given.row()?.leaderEpoch, 10)
})

test("a journal that refuses or fails is asked again, until the scope is closed", async () => {
  const given = rig()
  const { journal, simulation, offsets } = given
  journal.refusal = FAILED
  const waiting = acquire(given)
  await pause()
  assert.deepEqual([journal.pending, offsets.failures], [0, 1])
  journal.refusal = 0
  simulation.run(RETRY_MS)
  await pause()
  journal.fail(DISK_FULL)
  await pause()
  assert.deepEqual([waiting.outcome(), offsets.failures], [undefined, 2])
  journal.synced = Promise.reject(new Error("the sync failed"))
  journal.synced.catch(() => {})
  simulation.run(2 * RETRY_MS)
  await pause()
  await given.settle()
  assert.deepEqual([waiting.outcome(), offsets.failures], [undefined, 3])
  await waiting.close()
  await pause()
  const outcome = waiting.outcome()
  assert.ok(outcome !== undefined && Exit.isFailure(outcome))
  simulation.run(100 * RETRY_MS)
  await pause()
  assert.deepEqual([journal.pending, offsets.failures], [0, 3])
  // One whose scope is closed while the journal has it.
  journal.synced = Promise.resolve()
  const closed = acquire(given)
  await pause()
  await closed.close()
  journal.fail(FAILED)
  await pause()
  simulation.run(200 * RETRY_MS)
  await pause()
  assert.deepEqual([journal.pending, offsets.failures], [0, 4])
})

test("a row is forgotten, and that is synced; where there is none nothing is written; a row of a newer release is refused", async () => {
  const given = rig()
  const run = (key: PartitionKey): Promise<Exit.Exit<void, StorageError>> =>
    Effect.runPromise(Effect.exit(given.offsets.forget(key)))
  assert.ok(Exit.isSuccess(await run(KEY)))
  assert.equal(given.journal.pending, 0)
  const { close } = await acquired(given)
  await close()
  const forgotten = run(KEY)
  await pause()
  await given.settle()
  assert.ok(Exit.isSuccess(await forgotten))
  assert.equal(given.row(), undefined)
  await acquired(given)
  given.journal.refusal = FAILED
  assert.ok(Exit.isFailure(await run(KEY)))
  given.store.apply([{ key: offsetKey(KEY), value: Uint8Array.of(9) }])
  const { outcome } = acquire(given)
  await pause()
  const exit = outcome()
  assert.ok(exit !== undefined && Exit.isFailure(exit))
})

function logOver(given: Rig, engine: ArrayPartition, reservation: OffsetReservation): PartitionLog {
  const { clock } = given.simulation
  const { tenant, topicId: id } = KEY
  const made = { partitions: 4, engine: "memory", mode: "memory", origin: "admin" } as const
  return new PartitionLog({ tenant, name: "t", id, ...made }, 3, engine, {
    clock,
    turn: new TurnLoop(clock),
    reservation
  })
}

test("a log refuses what it has no offsets for before anything of it is there, messages and batches, and goes on later", async () => {
  const given = rig()
  given.store.apply([{ key: offsetKey(KEY), value: encodeLogStart({ offset: 500, leaderEpoch: 2 }) }])
  const { reservation } = await acquired(given)
  const engine = new ArrayPartition()
  const end = 500 + BLOCK_OFFSETS_MIN
  engine.logStartOffset = end - 4
  engine.logEndOffset = end - 4
  const log = logOver(given, engine, reservation)
  assert.equal(log.incarnation, 0)
  const builder = new RecordBatchBuilder()
  for (let index = 0; index < 3; index++) builder.append(index, undefined, 0, 0, new Uint8Array(5), 0, 5)
  const batch = builder.bytes.slice(0, builder.finish())
  assert.equal(log.takeUnsafe(messageOf("a", "1")), end - 4)
  assert.equal(log.takeUnsafe(messageOf("a", "2")), end - 3)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 3), BACKLOG)
  assert.equal(log.takeUnsafe(messageOf("a", "3")), end - 2)
  assert.equal(log.takeUnsafe(messageOf("a", "4")), end - 1)
  for (let count = 0; count < 5; count++) assert.equal(log.takeUnsafe(messageOf("a", "no")), BACKLOG)
  assert.equal(log.highWatermark(), end)
  assert.equal(log.refusedRecords, 0, "what was taken is stored")
  assert.equal(given.offsets.refusals, 6)
  await given.settle()
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 3), end)
  assert.equal(log.takeUnsafe(messageOf("a", "5")), end + 3)
  log.close()
  assert.equal(log.takeUnsafe(messageOf("a", "late")), BACKLOG)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 3), BACKLOG)
  assert.equal(engine.logEndOffset, end + 4)
})
