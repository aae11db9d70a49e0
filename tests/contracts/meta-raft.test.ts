import assert from "node:assert/strict"
import { Context, Effect, Layer, type Scope } from "effect"
import { MemoryJournal } from "../../core/journal/MemoryJournal.ts"
import {
  Clock,
  Files,
  Journal,
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

async function build(scope: Scope.Scope, directory: string | undefined): Promise<MetaStoreUnderTest> {
  const simulation = new Simulation(1)
  const clock = hostTurns(simulation.clock)
  let store: MetaStoreShape | undefined
  const stores: typeof MetaStores.Service = {
    register: (_name, registered) => Effect.sync(() => void (store = registered)),
    get: () => store
  }
  const files = new SimulatedFiles({ trace: () => {}, later: (task) => void setImmediate(task) })
  if (directory !== undefined) await Effect.runPromise(files.ensureWritableDirectory(directory))
  const services = Context.make(Clock, clock).pipe(
    Context.add(MetaStores, stores),
    Context.add(Files, files),
    Context.add(Log, silent),
    Context.add(Journal, new MemoryJournal(new TurnLoop(clock))),
    Context.add(Store, { number: 0, directory, keeps: () => Effect.void })
  )
  // It uses these of all that a node's plugin may use.
  await Effect.runPromise(
    Layer.buildWithScope(plugin.layer({}), scope).pipe(Effect.provideContext(services as Context.Context<NodeServices>))
  )
  assert.ok(store !== undefined)
  const pass = (delayMs: number): Promise<void> => simulation.runAsync(simulation.clock.monotonicMs() + delayMs)
  return { store, pass }
}

metaStoreContract("meta-raft in memory", (scope) => build(scope, undefined))
metaStoreContract("meta-raft on a journal", (scope) => build(scope, "/store"))
