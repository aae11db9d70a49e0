/**
 * Bridges to other MQTT brokers, both ways. Where none is asked for there is an empty list to show, and nothing else.
 *
 * All of it is imported here: loaded on demand, what it shares with everybody would stand in a bundle whole, which costs more than this.
 */
import { Effect, Layer } from "effect"
import {
  BRIDGE_PREFIX,
  Clock,
  CONTRACT_VERSION,
  Files,
  HostedClients,
  Journal,
  KeyValueStore,
  Log,
  MetaStore,
  Net,
  NodeFacts,
  PluginError,
  type ProtocolPlugin,
  prefixEnd,
  Random,
  Resources,
  Shard,
  Telemetry
} from "../../core/mod.ts"
import { bridgeResource } from "./bridge-resource.ts"
import { options, type Settings } from "./Settings.ts"
import { startBridges } from "./start-bridges.ts"

const failed = (error: unknown): PluginError =>
  new PluginError({ plugin: "bridge-mqtt", message: error instanceof Error ? error.message : String(error) })

export const plugin = {
  name: "bridge-mqtt",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const settings = given as Settings
        const store = yield* KeyValueStore
        const resources = yield* Resources
        // Rows of bridges that are not asked for any more: their sessions have to end.
        const hasRows = store.range(BRIDGE_PREFIX, prefixEnd(BRIDGE_PREFIX), 1).length > 0
        if (settings.bridge.length === 0 && !hasRows) {
          yield* resources.register(bridgeResource([]))
          return
        }
        const facts = yield* NodeFacts
        const hasMqtt = facts.plugins().some(({ name }) => name === "protocol-mqtt")
        if (!hasMqtt) return yield* failed("a bridge needs the plugin protocol-mqtt, which is not in the manifest")
        const bridges = yield* startBridges(settings, {
          net: yield* Net,
          files: yield* Files,
          clock: yield* Clock,
          random: yield* Random,
          log: yield* Log,
          telemetry: yield* Telemetry,
          shard: yield* Shard,
          journal: yield* Journal,
          store,
          meta: yield* MetaStore,
          hosted: yield* HostedClients,
          resources: resources.all,
          isServing: () => facts.state() === "ready"
        }).pipe(Effect.mapError(failed))
        yield* resources.register(bridgeResource(bridges))
      })
    )
} satisfies ProtocolPlugin
