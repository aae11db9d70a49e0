/** A store over one fake journal and simulated files, through commits, losses, restarts and crashes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { DISK_FULL, FAILED, type LogShape, type MetaChange, type MetaStoreError } from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { FakeJournal, hostTurns, openStore, silent } from "./fakes.ts"
import type { JournaledStore } from "./JournaledStore.ts"
import { AGE_MS_MAX, COMMANDS_MAX } from "./Snapshots.ts"

const SNAPSHOT = "/store/meta/snapshot"
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

class Life {
  readonly simulation: Simulation
  files: SimulatedFiles
  journal: FakeJournal
  logged: Array<string> = []
  store: JournaledStore | undefined
  #scope = Scope.makeUnsafe()

  constructor() {
    this.simulation = new Simulation(1)
    this.files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
    this.journal = new FakeJournal(this.clock)
  }
  get clock() {
    return hostTurns(this.simulation.clock)
  }
  async open(): Promise<this> {
    const log: LogShape = { ...silent, error: (_area, message) => void this.logged.push(message) }
    const { files, clock, journal } = this
    this.#scope = Scope.makeUnsafe()
    this.store = await Effect.runPromise(Scope.provide(openStore({ files, clock, journal, log }), this.#scope))
    return this
  }
  /** The process ends without another word; the next finds what the journal committed and the files as they are. */
  async restart(recycledIndex = 0): Promise<this> {
    const { journal } = this
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
    this.journal = journal.restarted(recycledIndex)
    return this.open()
  }
  get opened(): JournaledStore {
    assert.ok(this.store !== undefined)
    return this.store
  }
  run<A>(effect: Effect.Effect<A, MetaStoreError>): Promise<A> {
    return Effect.runPromise(effect)
  }
  fails(effect: Effect.Effect<unknown, MetaStoreError>): Promise<string> {
    return Effect.runPromise(Effect.flip(effect)).then(({ message }) => message)
  }
  write(key: string, value: string | undefined, lease?: number): Effect.Effect<unknown, MetaStoreError> {
    const write = { key, value: value === undefined ? undefined : bytes(value) }
    return this.opened.transact({ compare: [], writes: [lease === undefined ? write : { ...write, lease }] })
  }
  async all(): Promise<ReadonlyArray<string>> {
    const entries = await this.run(this.opened.range("", "", 10_000))
    return entries.map(({ key, value, version }) => `${key}=${new TextDecoder().decode(value)}@${version}`)
  }
  async pass(delayMs: number): Promise<void> {
    await this.simulation.runAsync(this.simulation.clock.monotonicMs() + delayMs)
    await turns()
  }
}

test("a restart keeps everything: values, versions, revision, the numbers of leases", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  await life.run(life.write("b", "1"))
  await life.run(life.write("a", "2"))
  await life.run(life.write("c", "1"))
  await life.run(life.write("c", undefined))
  const lease = await life.run(life.opened.grantLease(5_000))
  const before = await life.all()
  assert.deepEqual(before, ["a=2@3", "b=1@2"])
  for (let round = 0; round < 3; round++) {
    await life.restart()
    assert.deepEqual(await life.all(), before)
  }
  assert.notEqual(await life.run(life.opened.grantLease(5_000)), lease)
  const { revision } = await life.run(life.opened.transact({ compare: [{ key: "a", version: 3 }], writes: [] }))
  assert.equal(revision, 5)
})

test("a watch after a restart tells what is there with the versions it had, and goes on", async () => {
  const life = await new Life().open()
  await life.run(life.write("t/a", "1"))
  await life.run(life.write("other", "1"))
  await life.run(life.write("t/b", "1"))
  await life.restart()
  const seen: Array<string> = []
  const changed = ({ key, value, revision }: MetaChange): void =>
    void seen.push(`${revision} ${key}${value === undefined ? "" : `=${new TextDecoder().decode(value)}`}`)
  const scope = Scope.makeUnsafe()
  await life.run(Scope.provide(life.opened.watch("t/", changed), scope))
  await life.run(life.write("t/a", undefined))
  assert.deepEqual(seen, ["1 t/a=1", "3 t/b=1", "4 t/a"])
})

test("nothing is answered or read before it is committed; what is read then shows it", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  life.journal.isCommitting = false
  let isAnswered = false
  const answer = life.run(life.write("a", "2")).then(() => {
    isAnswered = true
  })
  await turns()
  assert.equal(isAnswered, false)
  assert.deepEqual(await life.all(), ["a=1@1"])
  life.journal.commit()
  await answer
  assert.deepEqual(await life.all(), ["a=2@2"])
})

test("of two clients that race for a key over a slow journal one wins, also after a restart", async () => {
  const life = await new Life().open()
  await life.run(life.write("x", "1"))
  life.journal.isCommitting = false
  const claim = (by: string) =>
    life.run(
      life.opened.transact({ compare: [{ key: "leader", version: 0 }], writes: [{ key: "leader", value: bytes(by) }] })
    )
  const claims = [claim("one"), claim("two")]
  await turns()
  assert.equal(life.journal.openCount, 1, "both are stored in one go")
  life.journal.commit()
  assert.deepEqual(
    (await Promise.all(claims)).map(({ committed }) => committed),
    [true, false]
  )
  life.journal.isCommitting = true
  await life.restart()
  assert.deepEqual(await life.all(), ["leader=one@2", "x=1@1"])
})

for (const isLeftBehind of [false, true]) {
  test(`a lost write is refused and never there${isLeftBehind ? ", though its bytes were left behind" : ""}`, async () => {
    const life = await new Life().open()
    await life.run(life.write("a", "1"))
    life.journal.isCommitting = false
    const refusals = [life.fails(life.write("a", "lost")), life.fails(life.write("b", "lost"))]
    await turns()
    const behind = life.fails(life.write("c", "lost"))
    await turns()
    life.journal.lose(DISK_FULL, isLeftBehind)
    for (const refusal of [...refusals, behind]) {
      assert.equal(await refusal, "the change was not stored: the disk is full; try again")
    }
    assert.deepEqual(await life.all(), ["a=1@1"], "reads go on")
    assert.match(await life.fails(life.write("a", "2")), /was not stored/)
    life.journal.isCommitting = true
    life.journal.refusal = DISK_FULL
    await life.pass(5_000)
    assert.match(await life.fails(life.write("a", "2")), /was not stored/)
    life.journal.refusal = 0
    await life.pass(2_000)
    await life.run(life.write("a", "2"))
    assert.deepEqual(await life.all(), ["a=2@2"])
    await life.restart()
    assert.deepEqual(await life.all(), ["a=2@2"])
  })
}

test("a start whose first write is lost can be read, and be written to when that works again", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  await life.restart()
  life.journal.isCommitting = false
  const refusal = life.fails(life.write("b", "1"))
  await turns()
  life.journal.lose(FAILED)
  assert.match(await refusal, /a write or a sync of the journal failed/)
  life.journal.isCommitting = true
  assert.deepEqual(await life.all(), ["a=1@1"])
  await life.pass(2_000)
  await life.run(life.write("b", "1"))
})

test("leases run anew after a restart, then end; their end outlives a restart too", async () => {
  const life = await new Life().open()
  const lease = await life.run(life.opened.grantLease(10_000))
  await life.run(life.write("n", "leased", lease))
  await life.pass(9_000)
  await life.restart()
  await life.pass(0)
  assert.deepEqual(await life.all(), ["n=leased@1"])
  await life.pass(9_000)
  assert.deepEqual(await life.all(), ["n=leased@1"])
  await life.pass(2_000)
  assert.deepEqual(await life.all(), [])
  await life.restart()
  assert.deepEqual(await life.all(), [])
  assert.match(await life.fails(life.opened.keepLeaseAlive(lease)), /has ended/)
})

test("a lease whose renewal waits for the journal does not end meanwhile; an end that is lost comes again", async () => {
  const life = await new Life().open()
  const lease = await life.run(life.opened.grantLease(10_000))
  await life.run(life.write("n", "leased", lease))
  await life.pass(9_500)
  life.journal.isCommitting = false
  const renewed = life.run(life.opened.keepLeaseAlive(lease))
  await life.pass(1_000)
  life.journal.commit()
  await renewed
  await life.pass(9_000)
  assert.equal(life.journal.openCount, 0)
  await life.pass(2_000)
  assert.equal(life.journal.openCount, 1)
  life.journal.lose(FAILED)
  life.journal.isCommitting = true
  await life.pass(5_000)
  assert.deepEqual(await life.all(), [])
})

test("a snapshot is taken when the journal asks, when changes are old, and after so many", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  assert.equal(life.journal.consumer?.appliedIndex, 0)
  life.journal.consumer?.checkpoint()
  await turns()
  const first = life.journal.syncedIndex
  assert.equal(life.journal.consumer?.appliedIndex, first)
  assert.equal(life.journal.releases, 1)
  await life.run(life.write("b", "1"))
  await life.pass(AGE_MS_MAX - 10)
  assert.equal(life.journal.consumer?.appliedIndex, first)
  await life.pass(20)
  assert.equal(life.journal.consumer?.appliedIndex, first + 1)
  await Promise.all(Array.from({ length: COMMANDS_MAX }, (_, index) => life.run(life.write("c", String(index)))))
  await turns()
  assert.equal(life.journal.consumer?.appliedIndex, life.journal.syncedIndex)
  const recycled = life.journal.syncedIndex
  await life.run(life.write("d", "1"))
  await life.restart(recycled)
  assert.deepEqual(await life.all(), [
    "a=1@1",
    "b=1@2",
    `c=${COMMANDS_MAX - 1}@${COMMANDS_MAX + 2}`,
    `d=1@${COMMANDS_MAX + 3}`
  ])
})

test("what the journal asks for before the first call, as it does at a start, is done after it", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  await life.restart(0)
  life.journal.consumer?.checkpoint()
  await turns()
  assert.deepEqual([life.journal.consumer?.appliedIndex, life.journal.releases], [0, 0])
  assert.deepEqual(await life.all(), ["a=1@1"])
  await turns()
  const { syncedIndex, releases } = life.journal
  assert.ok((life.journal.consumer?.appliedIndex ?? 0) > 0 && releases === 1)
  await life.restart(syncedIndex)
  assert.deepEqual(await life.all(), ["a=1@1"])
})

test("a snapshot does not claim what is still being stored", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  const stored = life.journal.syncedIndex
  life.journal.isCommitting = false
  const pending = life.run(life.write("a", "2"))
  await turns()
  life.journal.consumer?.checkpoint()
  await turns()
  assert.equal(life.journal.consumer?.appliedIndex, stored)
  life.journal.commit()
  await pending
  await life.restart(stored)
  assert.deepEqual(await life.all(), ["a=2@2"])
})

test("a snapshot that cannot be written costs a line, releases nothing, and is tried again", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  life.files.faults.set(`${SNAPSHOT}.new`, { code: "disk-full", reason: "the disk is full" })
  life.journal.consumer?.checkpoint()
  await turns()
  assert.deepEqual([life.journal.consumer?.appliedIndex, life.journal.releases], [0, 0])
  assert.deepEqual(life.logged, [`a snapshot cannot be written, and is tried again: ${SNAPSHOT}.new: the disk is full`])
  life.files.faults.clear()
  await life.pass(AGE_MS_MAX + 10)
  assert.equal(life.journal.consumer?.appliedIndex, life.journal.syncedIndex)
})

test("a damaged snapshot and a newer one keep the store from starting, with one line", async () => {
  for (const [position, text] of [
    [0, "it is damaged: it does not begin as a snapshot does; restore the data directory from a backup"],
    [40, "it is damaged: its checksum is that of other content; restore the data directory from a backup"]
  ] as const) {
    const life = await new Life().open()
    await life.run(life.write("a", "1"))
    life.journal.consumer?.checkpoint()
    await turns()
    const content = life.files.contentUnsafe(SNAPSHOT)
    content[position] = (content[position] ?? 0) ^ 1
    const opened = openStore({ files: life.files, clock: life.clock, journal: life.journal.restarted() })
    const line = await Effect.runPromise(Effect.flip(Effect.scoped(opened)))
    assert.equal(line, `cannot use "${SNAPSHOT}": ${text}`)
  }
})

test("a record of a newer release, or a log with a gap, is told at the first call", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  life.journal.kept.push({ index: 9, kind: 3, bytes: Uint8Array.of(2) })
  await life.restart()
  assert.match(await life.fails(life.opened.get("a")), /^the log in the journal cannot be used: a record of version 2;/)
  assert.match(await life.fails(life.write("a", "2")), /cannot be used/)
})

test("a copy of the store holds what was answered, and says from where the journal goes on", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  const { SnapshotFile } = await import("./SnapshotFile.ts")
  await Effect.runPromise(life.files.ensureWritableDirectory("/copy"))
  const copy = new SnapshotFile(life.files, life.clock, "/copy")
  assert.equal(await Effect.runPromise(life.opened.copyTo(copy)), life.journal.syncedIndex)
  const { MetaState } = await import("./MetaState.ts")
  const state = new MetaState()
  await Effect.runPromise(copy.load(state))
  assert.deepEqual(
    state.range("", "", 10).map(({ key }) => key),
    ["a"]
  )
  assert.equal(life.journal.consumer?.appliedIndex, 0, "a copy releases nothing")
})

test("what waits when the store closes is told so", async () => {
  const life = await new Life().open()
  await life.run(life.write("a", "1"))
  life.journal.isCommitting = false
  const refusal = life.fails(life.write("a", "2"))
  await turns()
  await Effect.runPromise(life.opened.close())
  assert.equal(await refusal, "the node is stopping")
})
