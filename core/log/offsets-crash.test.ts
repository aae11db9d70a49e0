/** Offsets of a partition in memory over crashes of every kind, on a disk that loses what was not synced. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import { DIRECTORY, NotingConsumer, NotingLog, smallOptions } from "../journal/fakes.ts"
import { KIND_KEY_VALUE } from "../journal/Journal.ts"
import { decodeWrites } from "../journal/key-value-writes.ts"
import { openDiskJournal } from "../journal/open-disk-journal.ts"
import { Simulation } from "../platform/simulated.ts"
import { keepNothing, keepSome } from "../platform/simulated-content.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { OrderedStore } from "../queue/fakes.ts"
import type { PartitionKey } from "./Engines.ts"
import { type OffsetReservation, ReservedOffsets } from "./ReservedOffsets.ts"

const KEYS: ReadonlyArray<PartitionKey> = [0, 1, 2].map((partition) => ({ tenant: 0, topicId: "t", partition }))

/** A store whose rows stand in the journal alone. */
class ReplayedStore extends NotingConsumer {
  readonly rows = new OrderedStore()

  constructor() {
    super([KIND_KEY_VALUE])
  }

  override replayUnsafe(_index: number, _kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.rows.apply(decodeWrites(bytes, start, end))
  }
}

/** A log as the next process must not give it out again. */
interface Given {
  next: number
  epoch: number
}

interface Partition {
  readonly reservation: OffsetReservation
  readonly given: Given
}

/** One process on the disk. */
class Life {
  readonly simulation: Simulation
  readonly files: SimulatedFiles
  readonly journal: DiskJournal
  readonly offsets: ReservedOffsets
  readonly #scope: Scope.Closeable
  readonly #journalScope: Scope.Closeable

  private constructor(
    simulation: Simulation,
    files: SimulatedFiles,
    journal: DiskJournal,
    offsets: ReservedOffsets,
    journalScope: Scope.Closeable
  ) {
    this.simulation = simulation
    this.files = files
    this.journal = journal
    this.offsets = offsets
    this.#scope = Scope.makeUnsafe()
    this.#journalScope = journalScope
  }

  static async begin(
    simulation: Simulation,
    files: SimulatedFiles,
    stateDurability: "hybrid" | "persistent"
  ): Promise<Life> {
    const { clock, random } = simulation
    await Effect.runPromise(files.ensureWritableDirectory(DIRECTORY))
    const store = new ReplayedStore()
    const scope = Scope.makeUnsafe()
    const log = new NotingLog()
    const parts = { directory: DIRECTORY, files, clock, turn: new TurnLoop(clock), log, random, stateDurability }
    // Large enough that nothing has to be put away.
    const options = { ...smallOptions, segmentBytes: 65_536, journalBytesMax: 1_000_000 }
    const opening = Effect.gen(function* () {
      const { journal, recover } = yield* openDiskJournal({ ...parts, options })
      journal.bind(store.rows)
      journal.register(store)
      yield* recover
      return journal
    })
    const journal = await during(simulation, Effect.runPromise(Scope.provide(opening, scope)))
    return new Life(simulation, files, journal, new ReservedOffsets({ journal, store: store.rows, clock }), scope)
  }

  open(key: PartitionKey): Promise<OffsetReservation> {
    return during(this.simulation, Effect.runPromise(Scope.provide(this.offsets.acquire(key), this.#scope)))
  }

  async stop(): Promise<void> {
    await during(this.simulation, Effect.runPromise(Scope.close(this.#scope, Exit.void)))
    await during(this.simulation, Effect.runPromise(Scope.close(this.#journalScope, Exit.void)))
  }
}

async function during<Value>(simulation: Simulation, work: Promise<Value>): Promise<Value> {
  let isDone = false
  const done = work.finally(() => (isDone = true))
  done.catch(() => {})
  while (!isDone) await simulation.runAsync(simulation.clock.monotonicMs())
  return done
}

for (const stateDurability of ["persistent", "hybrid"] as const) {
  test(`whatever a crash takes, no offset is given twice and no epoch after a crash, state ${stateDurability}`, async () => {
    let crashes = 0
    let lost = 0
    for (let seed = 1; seed <= 60; seed++) {
      const simulation = new Simulation(seed)
      const { chance, clock } = simulation
      const later = (task: () => void): void => clock.immediate(task)
      let files = new SimulatedFiles({ trace: () => {}, later })
      files.isLossy = true
      const given: Array<Given> = KEYS.map(() => ({ next: 0, epoch: -1 }))
      let wasClean = true
      for (let life = 0; life < 8; life++) {
        const process = await Life.begin(simulation, files, stateDurability)
        const partitions: Array<Partition> = []
        for (const [index, key] of KEYS.entries()) {
          const reservation = await process.open(key)
          const before = given[index] as Given
          const { offset, leaderEpoch } = reservation.start
          if (wasClean && life > 0) assert.deepEqual([offset, leaderEpoch], [before.next, before.epoch])
          assert.ok(offset >= before.next, `seed ${seed}: ${offset} where ${before.next} offsets were given out`)
          assert.ok(wasClean || leaderEpoch > before.epoch, `seed ${seed}: epoch ${leaderEpoch} after ${before.epoch}`)
          given[index] = { next: offset, epoch: leaderEpoch }
          partitions.push({ reservation, given: given[index] })
        }
        for (let step = chance.below(60); step > 0; step--) {
          const one = partitions[chance.below(partitions.length)] as Partition
          const end = one.given.next + 1 + chance.below(400_000)
          if (one.reservation.admits(end, one.given.epoch)) one.given.next = end
          else lost += 1
          // The disk has done something of what it was asked for, or nothing.
          if (chance.below(3) > 0) await simulation.runAsync(clock.monotonicMs() + chance.below(3))
        }
        wasClean = chance.below(3) === 0
        if (wasClean) {
          for (const { reservation, given: end } of partitions) {
            reservation.ended({ offset: end.next, leaderEpoch: end.epoch })
          }
          await process.stop()
          files = files.afterCrash(keepNothing)
        } else {
          crashes += 1
          files = files.afterCrash(keepSome((bound) => chance.below(bound)))
        }
        files.later = later
      }
    }
    assert.ok(crashes > 200 && lost > 20, `${crashes} crashes, ${lost} refusals`)
  })
}

test("a disk that stands still: appends are taken as far as offsets are reserved, refused then, and go on when it moves", async () => {
  const simulation = new Simulation(1)
  const { clock } = simulation
  const held: Array<() => void> = []
  let isStill = false
  const files = new SimulatedFiles({
    trace: () => {},
    later: (task) => (isStill ? void held.push(task) : clock.immediate(task))
  })
  const life = await Life.begin(simulation, files, "persistent")
  const reservation = await life.open(KEYS[0] as PartitionKey)
  isStill = true
  let next = 0
  while (next < 2_000_000 && reservation.admits(next + 1_000, 0)) {
    next += 1_000
    await simulation.runAsync(clock.monotonicMs() + 1)
  }
  assert.ok(next > 1_000_000 && next <= 1_048_576)
  await simulation.runAsync(clock.monotonicMs() + 60_000)
  assert.ok(!reservation.admits(next + 1_000, 0))
  assert.ok(held.length > 0)
  isStill = false
  for (const task of held) task()
  await simulation.runAsync(clock.monotonicMs() + 10)
  assert.ok(reservation.admits(next + 1_000, 0))
})
