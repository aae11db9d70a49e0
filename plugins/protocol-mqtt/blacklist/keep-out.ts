/**
 * Puts the parts of the blacklist together: what the rules say, whoever is found flapping, and on one shard, which acts for all, the log
 * and the end of entries whose time is over.
 */
import { createHash } from "node:crypto"
import { Effect, type Scope } from "effect"
import type { MetaStoreError, MetaStoreShape, Resources } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { BanLog } from "./BanLog.ts"
import { BanUpkeep } from "./BanUpkeep.ts"
import { banLogResource } from "./ban-log-resource.ts"
import { type BanRule, FLAPPING_RULES_MAX, flappingName } from "./ban-rule.ts"
import { Flapping } from "./Flapping.ts"

/** How often windows of flapping detection that are over are given back, ms. */
const SWEEP_EVERY_MS = 10_000

/** Follows the blacklist for the life of the scope. */
export function keepOut(
  broker: Broker,
  meta: MetaStoreShape,
  resources: typeof Resources.Service
): Effect.Effect<void, MetaStoreError, Scope.Scope> {
  const { blacklist, settings, services } = broker
  const { shard, clock } = services
  if (settings.flapping_detect) broker.flapping = flappingOf(broker, meta)
  const log = shard.index === 0 ? new BanLog(services) : undefined
  blacklist.rules.onChange = (change) => {
    const { before, after, revision } = change
    blacklist.changed(before, after, revision)
    if (after?.blacklist_type === "client_id") broker.flapping?.settled(digestOf(after.resource_name))
    log?.note(change, clock.nowMs())
  }
  return Effect.gen(function* () {
    yield* blacklist.rules.watch(meta)
    if (log === undefined) return
    log.caughtUp(blacklist.rules.unsorted, clock.nowMs())
    new BanUpkeep(broker, meta)
    yield* resources.register(banLogResource(log))
  })
}

function flappingOf(broker: Broker, meta: MetaStoreShape): Flapping {
  const { flapping_window, flapping_connections_max, flapping_ban_time } = broker.settings
  const { clock, wheel } = broker.services
  const bounds = { windowMs: flapping_window * 1_000, connectionsMax: flapping_connections_max }
  let underWay = 0
  const flapping = new Flapping(bounds, digestOf, (clientIdentifier) => {
    // Where it cannot be made, the client is found again.
    if (broker.blacklist.flappingCount + underWay >= FLAPPING_RULES_MAX) return
    const rule: BanRule = {
      name: flappingName(digestOf(clientIdentifier)),
      blacklist_type: "client_id",
      resource_name: clientIdentifier,
      end_time: new Date(clock.nowMs() + flapping_ban_time * 1_000).toISOString(),
      desc: `more than ${flapping_connections_max} connections in ${flapping_window} s`
    }
    underWay += 1
    const isOver = Effect.sync(() => {
      underWay -= 1
    })
    Effect.runFork(Effect.ignore(broker.blacklist.rules.put(meta, rule)).pipe(Effect.ensuring(isOver)))
  })
  const sweep = {
    timeout: (nowMs: number): number => {
      flapping.sweep(nowMs)
      return nowMs + SWEEP_EVERY_MS
    }
  }
  wheel.set(sweep, clock.monotonicMs() + SWEEP_EVERY_MS)
  return flapping
}

/** Stands for a client identifier, however long that is. */
function digestOf(clientIdentifier: string): string {
  return createHash("sha256").update(clientIdentifier).digest("hex").slice(0, 32)
}
