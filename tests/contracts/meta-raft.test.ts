import assert from "node:assert/strict"
import { test } from "node:test"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { NotingStore, smallOptions } from "../../core/journal/fakes.ts"
import { MemoryJournal } from "../../core/journal/MemoryJournal.ts"
import { openDiskJournal } from "../../core/journal/open-disk-journal.ts"
import {
  Clock,
  type ClockShape,
  Files,
  Journal,
  type JournalShape,
  Log,
  type MetaStoreShape,
  MetaStores,
  type NodeServices,
  Store
} from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { TurnLoop } from "../../core/platform/Turn.ts"
import { hostTurns, silent } from "../../plugins/meta-raft/fakes.ts"
import { plugin } from "../../plugins/meta-raft/mod.ts"
import { type MetaStoreUnderTest, metaStoreContract } from "./meta-store-contract.ts"

/** What a store lies on: its journal, to be recovered when the store has registered. */
interface Ground {
  readonly directory: string | undefined
  readonly journal: JournalShape
  readonly recover: Effect.Effect<void, unknown>
}

interface Machine {
  readonly simulation: Simulation
  readonly clock: ClockShape
  readonly files: SimulatedFiles
}

function machine(): Machine {
  const simulation = new Simulation(1)
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
  Effect.runSync(Effect.ignore(files.ensureWritableDirectory("/store/journal")))
  return { simulation, clock: hostTurns(simulation.clock), files }
}

const inMemory =
  (directory: string | undefined) =>
  ({ clock }: Machine): Effect.Effect<Ground> =>
    Effect.sync(() => ({ directory, journal: new MemoryJournal(new TurnLoop(clock)), recover: Effect.void }))

/** Segments are small, so that they are recycled while the contract runs. */
const onDisk = ({ simulation, clock, files }: Machine): Effect.Effect<Ground, unknown, Scope.Scope> =>
  openDiskJournal({
    directory: "/store/journal",
    files,
    clock,
    turn: new TurnLoop(clock),
    log: silent,
    random: simulation.random,
    options: smallOptions,
    stateDurability: "persistent"
  }).pipe(
    Effect.map(({ journal, recover }) => {
      journal.bind(new NotingStore())
      return { directory: "/store", journal, recover }
    })
  )

async function build(
  scope: Scope.Scope,
  { simulation, clock, files }: Machine,
  makeGround: (machine: Machine) => Effect.Effect<Ground, unknown, Scope.Scope>
): Promise<MetaStoreUnderTest> {
  let store: MetaStoreShape | undefined
  const stores: typeof MetaStores.Service = {
    register: (_name, registered) => Effect.sync(() => void (store = registered)),
    get: () => store
  }
  const ground = await Effect.runPromise(Scope.provide(makeGround({ simulation, clock, files }), scope))
  const services = Context.make(Clock, clock).pipe(
    Context.add(MetaStores, stores),
    Context.add(Files, files),
    Context.add(Log, silent),
    Context.add(Journal, ground.journal),
    Context.add(Store, {
      number: 0,
      directory: ground.directory,
      keeps: () => Effect.void,
      account: () => Effect.void,
      bytesMax: Number.POSITIVE_INFINITY,
      topicName: () => undefined
    })
  )
  // It uses these of all that a node's plugin may use.
  await Effect.runPromise(
    Layer.buildWithScope(plugin.layer({}), scope).pipe(Effect.provideContext(services as Context.Context<NodeServices>))
  )
  assert.ok(store !== undefined)
  await Effect.runPromise(ground.recover)
  const pass = (delayMs: number): Promise<void> => simulation.runAsync(simulation.clock.monotonicMs() + delayMs)
  return { store, pass }
}

metaStoreContract("meta-raft in memory", (scope) => build(scope, machine(), inMemory(undefined)))
metaStoreContract("meta-raft on a journal", (scope) => build(scope, machine(), inMemory("/store")))
metaStoreContract("meta-raft on a journal on disk", (scope) => build(scope, machine(), onDisk))

test("many starts over one journal on disk, whose segments are recycled, keep everything", async () => {
  const own = machine()
  const model = new Map<string, string>()
  for (let life = 0; life < 6; life++) {
    const scope = Scope.makeUnsafe()
    const { store, pass } = await build(scope, own, onDisk)
    const found = await Effect.runPromise(store.range("", "", 10_000))
    assert.deepEqual(new Map(found.map(({ key, value }) => [key, new TextDecoder().decode(value)])), model)
    for (let step = 0; step < 150; step++) {
      const [key, value] = [`k${(life * 31 + step * 7) % 40}`, `${life}/${step}`]
      const writes = [{ key, value: new TextEncoder().encode(value) }]
      await Effect.runPromise(store.transact({ compare: [], writes }))
      model.set(key, value)
      if (step % 50 === 0) await pass(11_000)
    }
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
  const names = await Effect.runPromise(own.files.list("/store/journal"))
  assert.ok(names.length < 40, `segments are recycled: ${names.length} files`)
})
