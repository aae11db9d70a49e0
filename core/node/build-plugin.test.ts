import assert from "node:assert/strict"
import { test } from "node:test"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import { Simulation } from "../platform/simulated.ts"
import { CONTRACT_VERSION, type HttpPlugin, PluginError } from "../plugin/Plugin.ts"
import { LineLog } from "../telemetry/Log.ts"
import { buildPlugin, START_TIMEOUT_MS, STOP_TIMEOUT_MS } from "./build-plugin.ts"

const plugin: HttpPlugin = {
  name: "third-party",
  version: "1.0.0",
  contractVersion: CONTRACT_VERSION,
  kind: "http",
  runs: "node",
  options: v.strictObject({}),
  layer: () => Layer.empty
}
const never = Effect.promise(() => new Promise(() => {}))

function make(layer: () => Layer.Layer<never, PluginError>) {
  const simulation = new Simulation(1)
  const lines: Array<string> = []
  const log = new LineLog({ level: "info", clock: simulation.clock, sink: (line) => void lines.push(line) })
  const scope = Scope.makeUnsafe()
  const builder = { scope, clock: simulation.clock, log }
  const built = Effect.runPromiseExit(buildPlugin(plugin, layer, Context.empty(), builder))
  return { simulation, lines, scope, built }
}

const rest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function failure(layer: () => Layer.Layer<never, PluginError>, ms = 0): Promise<string> {
  const { simulation, built } = make(layer)
  await rest()
  simulation.run(ms)
  const exit = await built
  assert.ok(Exit.isFailure(exit))
  return String(Effect.runSync(Effect.flip(exit)).message)
}

test("whatever keeps a plugin from starting is one line with its name", async () => {
  const told = new PluginError({ plugin: "third-party", message: "no disk\nat all" })
  assert.equal(await failure(() => Layer.effectDiscard(Effect.fail(told))), "plugin third-party: no disk")
  assert.equal(await failure(() => Layer.effectDiscard(Effect.die(new Error("boom")))), "plugin third-party: boom")
  const thrower = (): never => {
    throw new TypeError("no layer")
  }
  assert.equal(await failure(thrower), "plugin third-party: no layer")
  assert.match(await failure(() => undefined as never), /^plugin third-party: /)
  const late = await failure(() => Layer.effectDiscard(never), START_TIMEOUT_MS + 1)
  assert.equal(late, "plugin third-party: has not started after 30 s")
})

test("a plugin's scope closes with the node's, once", async () => {
  let closed = 0
  const layer = Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => Effect.sync(() => void (closed += 1))))
  const { built, scope, lines } = make(() => layer)
  assert.ok(Exit.isSuccess(await built))
  assert.equal(closed, 0)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.equal(closed, 1)
  assert.deepEqual(lines, [])
})

test("a plugin that fails to close, or never does, is told of, and those behind it are closed", async () => {
  for (const [release, line] of [
    [Effect.die(new Error("boom")), /plugin third-party: boom \(while it closed\)/],
    [never, /plugin third-party: has not closed after 5 s/]
  ] as const) {
    const { simulation, built, scope, lines } = make(() =>
      Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => release))
    )
    await built
    const ended = Effect.runPromise(Scope.close(scope, Exit.void))
    await rest()
    simulation.run(STOP_TIMEOUT_MS + 1)
    await ended
    assert.match(lines.join("\n"), line)
  }
})
