import assert from "node:assert/strict"
import { Context, Effect, Layer } from "effect"
import { Clock, type MetaStoreShape, MetaStores, type NodeServices } from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { plugin } from "../../plugins/meta-raft/mod.ts"
import { metaStoreContract } from "./meta-store-contract.ts"

metaStoreContract("meta-raft", async (scope) => {
  const simulation = new Simulation(1)
  let store: MetaStoreShape | undefined
  const stores: typeof MetaStores.Service = {
    register: (_name, registered) => Effect.sync(() => void (store = registered)),
    get: () => store
  }
  const services = Context.make(Clock, simulation.clock).pipe(Context.add(MetaStores, stores))
  // It uses these two of all that a node's plugin may use.
  await Effect.runPromise(
    Layer.buildWithScope(plugin.layer({}), scope).pipe(Effect.provideContext(services as Context.Context<NodeServices>))
  )
  assert.ok(store !== undefined)
  const pass = (delayMs: number): Promise<void> => simulation.runAsync(simulation.clock.monotonicMs() + delayMs)
  return { store, pass }
})
