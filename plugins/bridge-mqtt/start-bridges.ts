/** Starts the bridges that this shard owns, and ends the sessions of those that are gone. */
import { Effect, type Scope } from "effect"
import {
  type ClockShape,
  type FilesShape,
  HOSTED_PREFIX,
  type HostedClientsShape,
  type JournalShape,
  type KeyValueStoreShape,
  type LogShape,
  type MetaStoreError,
  type MetaStoreShape,
  type NetShape,
  type RandomShape,
  type Resource,
  type ShardShape,
  type TelemetryShape
} from "../../core/mod.ts"
import { Agreements } from "./Agreement.ts"
import { Bridge } from "./Bridge.ts"
import { inBackground, untilServing } from "./background.ts"
import { forget } from "./forgetting.ts"
import { identityOf } from "./identity.ts"
import { registerMetrics } from "./metrics.ts"
import type { Settings } from "./Settings.ts"

const TENANT = 0

export interface StartParts {
  readonly net: NetShape
  readonly files: Pick<FilesShape, "readText">
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly log: LogShape
  readonly telemetry: TelemetryShape
  readonly shard: ShardShape
  readonly journal: JournalShape
  readonly store: KeyValueStoreShape
  readonly meta: MetaStoreShape
  readonly hosted: HostedClientsShape
  readonly resources: () => ReadonlyArray<Resource>
  readonly isServing: () => boolean
}

/** The client whose session here is the bridge's. */
function clientOf(name: string): string {
  return HOSTED_PREFIX + name
}

/** Runs them for the life of the scope. */
export function startBridges(
  { bridge: all }: Settings,
  parts: StartParts
): Effect.Effect<ReadonlyArray<Bridge>, MetaStoreError, Scope.Scope> {
  return Effect.gen(function* () {
    const { shard, hosted, telemetry, clock } = parts
    const agreements = new Agreements(parts.journal, parts.store)
    const own = all.filter(({ name }) => shard.ownerOfClient(TENANT, clientOf(name)) === shard.index)
    const identity = own.length === 0 ? "" : yield* identityOf(parts.meta, parts.random)
    const bridges: Array<Bridge> = []
    for (const settings of own) {
      const bridge = new Bridge(settings, clientOf(settings.name), { ...parts, agreements, identity })
      yield* hosted.register(bridge)
      yield* registerMetrics(telemetry, clock, bridge)
      bridges.push(bridge)
    }
    for (const bridge of bridges) yield* bridge.run()
    const gone = agreements.names().filter((name) => !all.some((each) => each.name === name))
    const forgetting = Effect.gen(function* () {
      yield* untilServing(clock, parts.isServing)
      for (const name of gone) yield* forget(name, clientOf(name), { ...parts, agreements })
    })
    if (gone.length > 0) yield* inBackground(forgetting, clock)
    return bridges
  })
}
