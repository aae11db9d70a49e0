/** Snapshots of a state that changes while they are written, over disks that fail: what is read is a state that there was. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { Simulation } from "../../core/platform/simulated.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { hostTurns, silent } from "./fakes.ts"
import { MetaState } from "./MetaState.ts"
import { SnapshotFile } from "./SnapshotFile.ts"
import { Snapshots } from "./Snapshots.ts"
import type { SnapshotHead } from "./snapshot-format.ts"

const turned = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function textOf(state: MetaState): string {
  const lines = [`revision ${state.revision}, next lease ${state.nextLease}, ${JSON.stringify([...state.leases()])}`]
  for (const { key, stored } of state.entriesFrom("")) {
    lines.push(`${key} ${stored.version} ${stored.lease} ${Buffer.from(stored.value).toString("base64")}`)
  }
  return lines.join("\n")
}

class Bench {
  readonly files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
  readonly simulation = new Simulation(1)
  readonly clock = hostTurns(this.simulation.clock)
  readonly state = new MetaState()
  readonly chance: Xoshiro128
  /** The state at each commit that was written, by the journal's entry that it says. */
  readonly states = new Map<number, string>()
  /** How many commands were applied: the entry of the journal. */
  applied = 0
  file: SnapshotFile | undefined

  constructor(seed: number) {
    this.chance = Xoshiro128.seeded(seed)
  }

  async open(): Promise<Snapshots> {
    await Effect.runPromise(Effect.ignore(this.files.ensureWritableDirectory("/store")))
    const file = new SnapshotFile(this.files, this.clock, "/store")
    await Effect.runPromise(file.load(new MetaState()))
    this.file = file
    const { state } = this
    const snapshots = new Snapshots({
      file,
      clock: this.clock,
      log: silent,
      journalIndex: 0,
      source: {
        entriesFrom: (start) => state.entriesFrom(start),
        stored: (key) => state.stored(key),
        head: () => this.#head()
      },
      durable: () => {},
      appendedBytesMin: 100_000
    })
    state.changed = (changes) => {
      for (const { key } of changes) snapshots.keyChanged(key)
    }
    return snapshots
  }

  change(): void {
    const { chance, state } = this
    const lease = chance.chance(1, 20) ? chance.below(4) : 0
    if (chance.chance(1, 50)) state.apply({ kind: "grant", ttlMs: 1 + chance.below(100) })
    if (chance.chance(1, 200)) state.apply({ kind: "revoke", lease: chance.below(4) })
    const writes = Array.from({ length: 1 + chance.below(3) }, () => ({
      key: `topics/0/t${chance.below(2_000)}`,
      value: chance.chance(1, 4) ? undefined : new Uint8Array(chance.below(400)).fill(chance.below(256)),
      ...(lease === 0 ? {} : { lease })
    }))
    state.apply({ kind: "transact", transaction: { compare: [], writes } })
    this.applied += 1
  }

  async read(): Promise<{ readonly head: SnapshotHead | undefined; readonly text: string }> {
    const state = new MetaState()
    const file = new SnapshotFile(this.files, this.clock, "/store")
    const head = await Effect.runPromise(file.load(state))
    return { head, text: textOf(state) }
  }

  #head(): SnapshotHead {
    const { revision, nextLease } = this.state
    this.states.set(this.applied, textOf(this.state))
    const hardState = { term: 1, vote: 1, commit: this.applied }
    const leases = [...this.state.leases()]
    return { journalIndex: this.applied, lastIndex: this.applied, lastTerm: 1, hardState, revision, nextLease, leases }
  }
}

for (const seed of [1, 2, 3]) {
  test(`a snapshot that is written while keys change is the state of its commit, seed ${seed}`, async () => {
    const bench = new Bench(seed)
    const { chance, files } = bench
    for (let count = 0; count < 3_000; count++) bench.change()
    let snapshots = await bench.open()
    let replaced = 0
    let appended = 0
    for (let round = 0; round < 60; round++) {
      const isFailing = chance.chance(1, 5)
      if (isFailing) {
        const pathname = `/store/meta/snapshot${chance.chance(1, 2) ? "" : ".new"}`
        files.faults.set(pathname, { code: "disk-full", reason: "the disk is full" })
      }
      const before = bench.file?.baseSize
      const size = bench.file?.size
      snapshots.wanted()
      for (let turn = 0; turn < 30; turn++) {
        if (turn < 25) for (let count = chance.below(20); count > 0; count--) bench.change()
        await turned()
      }
      files.faults.clear()
      if (bench.file?.baseSize !== before) replaced += 1
      else if (bench.file?.size !== size) appended += 1
      if (bench.file?.size !== 0) {
        const { head, text } = await bench.read()
        assert.equal(text, bench.states.get(head?.journalIndex ?? -1), `round ${round}`)
        assert.ok((head?.journalIndex ?? 0) >= snapshots.journalIndex)
      }
      if (chance.chance(1, 8)) {
        await snapshots.close()
        // As a start does it: what was applied since the last commit comes again from the journal.
        const known = new Map(Array.from(bench.state.entriesFrom(""), ({ key }) => [key, true]))
        snapshots = await bench.open()
        for (const key of known.keys()) snapshots.keyChanged(key)
        for (let key = 0; key < 2_000; key++) snapshots.keyChanged(`topics/0/t${key}`)
      }
    }
    assert.ok(replaced > 3 && appended > 5, `${replaced} and ${appended}`)
    await snapshots.close()
  })
}

test("a whole one for somebody else takes nothing from the file", async () => {
  const bench = new Bench(9)
  for (let count = 0; count < 2_000; count++) bench.change()
  const snapshots = await bench.open()
  snapshots.wanted()
  for (let turn = 0; turn < 40; turn++) await turned()
  await Effect.runPromise(bench.files.ensureWritableDirectory("/copy"))
  const copy = new SnapshotFile(bench.files, bench.clock, "/copy")
  bench.change()
  const copied = snapshots.whole((write) => copy.copy(write))
  for (let turn = 0; turn < 3; turn++) {
    for (let count = 0; count < 10; count++) bench.change()
    await turned()
  }
  await copied
  const state = new MetaState()
  const head = await Effect.runPromise(new SnapshotFile(bench.files, bench.clock, "/copy").load(state))
  assert.equal(textOf(state), bench.states.get(head?.journalIndex ?? -1))
  snapshots.wanted()
  for (let turn = 0; turn < 40; turn++) await turned()
  assert.equal((await bench.read()).text, textOf(bench.state))
  await snapshots.close()
})

test("what is written for a change does not grow with the state", async () => {
  const bench = new Bench(4)
  const snapshots = await bench.open()
  let written = 0
  bench.files.hook = (operation) => {
    written += operation.bytes?.length ?? 0
    return undefined
  }
  const value = new Uint8Array(100)
  for (let round = 0; round < 200; round++) {
    for (let count = 0; count < 100; count++) {
      const key = `topics/0/n${round}-${count}`
      bench.state.apply({ kind: "transact", transaction: { compare: [], writes: [{ key, value }] } })
    }
    bench.applied += 1
    snapshots.wanted()
    for (let turn = 0; turn < 40; turn++) await turned()
  }
  const size = bench.file?.baseSize ?? 0
  assert.ok(size > 1_000_000)
  assert.ok(written < 4 * 200 * 100 * 145, `${written} bytes written, the state has ${size}`)
  await snapshots.close()
})
