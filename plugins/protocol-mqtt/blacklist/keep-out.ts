/**
 * Puts the parts of the blacklist together: what the rules say, whoever is found flapping, and on one shard, which acts for all, the log
 * and the end of entries whose time is over.
 */
import { createHash } from "node:crypto"
import { Effect, type Scope } from "effect"
import type { MetaStoreShape, Resources } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { BanLog } from "./BanLog.ts"
import { BanUpkeep } from "./BanUpkeep.ts"
import { banLogResource } from "./ban-log-resource.ts"
import type { BanRule } from "./ban-rule.ts"
import { Flapping } from "./Flapping.ts"

/** To be called before the rules are followed. */
export function keepOut(
  broker: Broker,
  meta: MetaStoreShape,
  resources: typeof Resources.Service
): Effect.Effect<void, never, Scope.Scope> {
  const { blacklist, settings, services } = broker
  const { shard, clock } = services
  if (settings.flapping_detect) broker.flapping = flappingOf(broker, meta)
  const log = shard.index === 0 ? new BanLog(services) : undefined
  blacklist.rules.onChange = (change) => {
    blacklist.changed(change.before, change.after)
    if (change.after?.blacklist_type === "client_id") broker.flapping?.settled(change.after.resource_name)
    log?.note(change, clock.nowMs())
  }
  if (log === undefined) return Effect.void
  new BanUpkeep(broker, meta)
  return resources.register(banLogResource(log))
}

function flappingOf(broker: Broker, meta: MetaStoreShape): Flapping {
  const { flapping_window, flapping_connections_max, flapping_ban_time } = broker.settings
  const { clock } = broker.services
  const bounds = { windowMs: flapping_window * 1_000, connectionsMax: flapping_connections_max }
  return new Flapping(bounds, (clientIdentifier) => {
    const rule: BanRule = {
      name: ruleNameOf(clientIdentifier),
      blacklist_type: "client_id",
      resource_name: clientIdentifier,
      end_time: new Date(clock.nowMs() + flapping_ban_time * 1_000).toISOString(),
      desc: `more than ${flapping_connections_max} connections in ${flapping_window} s`
    }
    // Where it cannot be made, the client is found again.
    if (!broker.blacklist.rules.isFull) Effect.runFork(Effect.ignore(broker.blacklist.rules.put(meta, rule)))
  })
}

/** One for each client, of what a name may be made of. */
function ruleNameOf(clientIdentifier: string): string {
  return `flapping-${createHash("sha256").update(clientIdentifier).digest("hex").slice(0, 32)}`
}
