/**
 * The end of the process, and of the power, before and within each single operation on the files of a snapshot: what was answered is
 * there afterwards, and the journal had recycled nothing that is needed.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { Simulation } from "../../core/platform/simulated.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { FakeJournal, hostTurns, openStore } from "./fakes.ts"
import type { JournaledStore } from "./JournaledStore.ts"

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** How much of what was not synced a crash leaves. */
const KEPT = {
  nothing: () => [0, 0],
  all: (length: number) => [0, length],
  "the first half": (length: number) => [0, length >>> 1],
  "the second half": (length: number) => [length >>> 1, length]
} as const satisfies Record<string, (length: number) => readonly [number, number]>

const write = (store: JournaledStore, key: string): Promise<unknown> =>
  Effect.runPromise(store.transact({ compare: [], writes: [{ key, value: new TextEncoder().encode(key) }] }))
const keys = async (store: JournaledStore): Promise<ReadonlyArray<string>> =>
  (await Effect.runPromise(store.range("", "", 100))).map(({ key }) => key)

/** A disk and a journal as the next process may find them. */
interface Remains {
  readonly where: string
  readonly files: SimulatedFiles
  readonly journal: FakeJournal
  readonly answered: ReadonlyArray<string>
}

async function live(): Promise<ReadonlyArray<Remains>> {
  const clock = hostTurns(new Simulation(1).clock)
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
  files.isLossy = true
  const journal = new FakeJournal(clock)
  const remains: Array<Remains> = []
  const answered: Array<string> = []
  files.hook = (operation) => {
    for (const [kept, keep] of Object.entries(KEPT)) {
      const where = `operation ${remains.length}, ${operation.name} ${operation.pathname}, kept: ${kept}`
      const recycled = journal.consumer?.appliedIndex ?? 0
      const left = () => ({ journal: journal.restarted(recycled), answered: [...answered] })
      remains.push({ where, files: files.afterCrash(keep), ...left() })
      if (operation.bytes === undefined) continue
      remains.push({ where: `within ${where}`, files: files.afterCrash(keep, operation), ...left() })
    }
    return undefined
  }
  const scope = Scope.makeUnsafe()
  const store = await Effect.runPromise(
    Scope.provide(openStore({ files, clock, journal, appendedBytesMin: 200 }), scope)
  )
  for (const key of ["a", "b", "c", "d", "e"]) {
    await write(store, key)
    answered.push(key)
    journal.consumer?.checkpoint()
    await turns()
  }
  // A state as a whole twice, and what changed behind it, is cut short everywhere.
  const count = (name: string): number => remains.filter(({ where }) => where.includes(`, ${name},`)).length
  assert.equal(count("rename to /store/meta/snapshot"), 2 * Object.keys(KEPT).length)
  assert.equal(count("sync /store/meta/snapshot"), 3 * Object.keys(KEPT).length)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return remains
}

test("whenever process or power end while snapshots are written, nothing that was answered is lost", async () => {
  const remains = await live()
  assert.ok(remains.length > 100, `${remains.length} ends`)
  const clock = hostTurns(new Simulation(2).clock)
  for (const { where, files, journal, answered } of remains) {
    const scope = Scope.makeUnsafe()
    const store = await Effect.runPromise(Scope.provide(openStore({ files, clock, journal }), scope))
    assert.deepEqual(await keys(store), answered, where)
    await write(store, "z")
    journal.consumer?.checkpoint()
    await turns()
    assert.equal(journal.consumer?.appliedIndex, journal.syncedIndex, where)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
})
