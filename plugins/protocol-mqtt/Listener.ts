/**
 * What holds for the connections that come through one listener: the options of the plugin, or what its own table says instead.
 *
 * A connection that belongs to another shard is passed on under a name of its listener, so that the same holds there.
 */
import type { Connection } from "./Connection.ts"
import type { ListenerOptions } from "./listener-options.ts"
import * as Reason from "./reasons.ts"
import type { Settings } from "./Settings.ts"
import { TokenBucket } from "./TokenBucket.ts"

/** The name under which other shards pass on connections of listeners that have nothing of their own. */
const SERVICE = "protocol-mqtt"
/** The name under which clients come that plugins of this node run. */
const HOSTED_SERVICE = `${SERVICE}/hosted`

export class Listener {
  readonly service: string
  readonly settings: Settings
  /** Whether its clients are the node's own: no limit that is there to hold clients off holds for them, and nobody else gets in. */
  readonly isHosted: boolean
  /** CONNECTs that it has refused for limits of its own. */
  refused = 0
  readonly #connectionsMax: number
  readonly #rate: TokenBucket | undefined
  /** Only where their number is bounded. */
  readonly #admitted = new Set<Connection>()

  private constructor(service: string, settings: Settings, connectionsMax: number, connectRateMax: number) {
    this.service = service
    this.isHosted = service === HOSTED_SERVICE
    this.settings = settings
    this.#connectionsMax = connectionsMax
    this.#rate = connectRateMax === 0 ? undefined : new TokenBucket(connectRateMax)
  }

  /** Of clients that plugins of this node run. */
  static hosted(settings: Settings): Listener {
    const unbounded = { ...settings, publish_rate_max: 0, publish_bytes_rate_max: 0 }
    return new Listener(HOSTED_SERVICE, unbounded, 0, 0)
  }

  /** All that have no table. */
  static common(settings: Settings): Listener {
    return new Listener(SERVICE, settings, 0, 0)
  }

  /** The one of the table at `index`. */
  static own(settings: Settings, own: ListenerOptions, index: number): Listener {
    const service = `${SERVICE}/${index}`
    return new Listener(service, settingsOf(settings, own), own.connections_max ?? 0, own.connect_rate_max ?? 0)
  }

  /** Connections that are counted. */
  get countedCount(): number {
    return this.#admitted.size
  }

  /** Lets a CONNECT in: 0, or the Reason Code to refuse it with. `replaced` is the connection whose place it takes; `nowMs` is monotonic. */
  admit(connection: Connection, replaced: Connection | undefined, nowMs: number): number {
    if (this.#rate !== undefined && this.#rate.take(1, nowMs) > 0) return this.#refuse(Reason.CONNECTION_RATE_EXCEEDED)
    if (this.#connectionsMax === 0) return 0
    const isReplacing = replaced !== undefined && this.#admitted.has(replaced)
    if (!isReplacing && this.#admitted.size >= this.#connectionsMax) return this.#refuse(Reason.QUOTA_EXCEEDED)
    this.#admitted.add(connection)
    return 0
  }

  /** A connection has ended. */
  leave(connection: Connection): void {
    this.#admitted.delete(connection)
  }

  #refuse(reasonCode: number): number {
    this.refused += 1
    return reasonCode
  }
}

/** The options as they hold for a listener. */
export function settingsOf(settings: Settings, own: ListenerOptions): Settings {
  const { transport: _, address: __, connections_max: ___, connect_rate_max: ____, ...others } = own
  const given = Object.entries(others).filter(([, value]) => value !== undefined)
  return { ...settings, ...(Object.fromEntries(given) as Partial<Settings>) }
}
