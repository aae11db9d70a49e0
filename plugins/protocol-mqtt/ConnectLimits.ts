/**
 * How many clients are let in, and how fast: on one shard, from one address, of one user.
 *
 * A CONNECT is judged when it is known who it is from and that it is this shard's; one that takes the place of a connection of the same
 * client is let in whatever the numbers, for there is one less behind it.
 *
 * Source: MQTT 5.0 section 3.2.2.2: 0x97 Quota exceeded, 0x9F Connection rate exceeded; before version 5 "server unavailable".
 * Invariant: what is counted for a connection is taken back when it has ended.
 */
import type { Connection } from "./Connection.ts"
import * as Reason from "./reasons.ts"
import type { Settings } from "./Settings.ts"
import { TokenBucket } from "./TokenBucket.ts"

/** Why CONNECTs are refused, for the metrics. */
export type RefusalCause = "total" | "address" | "user" | "rate"

interface Admitted {
  readonly address: string
  readonly user: string
}

type LimitSettings = Pick<
  Settings,
  "connections_max" | "connections_per_address_max" | "connections_per_user_max" | "connect_rate_max"
>

export class ConnectLimits {
  /** Refused, by cause. */
  readonly refused: Record<RefusalCause, number> = { total: 0, address: 0, user: 0, rate: 0 }
  readonly #settings: LimitSettings
  readonly #rate: TokenBucket | undefined
  readonly #admitted = new Map<Connection, Admitted>()
  readonly #byAddress = new Map<string, number>()
  readonly #byUser = new Map<string, number>()

  constructor(settings: LimitSettings) {
    this.#settings = settings
    this.#rate = settings.connect_rate_max === 0 ? undefined : new TokenBucket(settings.connect_rate_max)
  }

  /** Connections that are counted by address and user. */
  get countedCount(): number {
    return this.#admitted.size
  }

  /**
   * Lets a CONNECT in: 0, or the Reason Code to refuse it with. `open` is how many clients are connected, `isReplacing` whether the
   * client is one of them; `nowMs` is monotonic.
   */
  admit(
    connection: Connection,
    address: string,
    user: string,
    open: number,
    isReplacing: boolean,
    nowMs: number
  ): number {
    if (this.#rate !== undefined && this.#rate.take(1, nowMs) > 0) return this.#refuse("rate")
    const { connections_max, connections_per_address_max, connections_per_user_max } = this.#settings
    if (!isReplacing) {
      if (open >= connections_max) return this.#refuse("total")
      if (isAtLimit(this.#byAddress, address, connections_per_address_max)) return this.#refuse("address")
      if (user !== "" && isAtLimit(this.#byUser, user, connections_per_user_max)) return this.#refuse("user")
    }
    if (connections_per_address_max + connections_per_user_max === 0) return 0
    this.leave(connection)
    this.#admitted.set(connection, { address, user })
    count(this.#byAddress, address, 1)
    count(this.#byUser, user, 1)
    return 0
  }

  /** A connection has ended. */
  leave(connection: Connection): void {
    const admitted = this.#admitted.get(connection)
    if (admitted === undefined) return
    this.#admitted.delete(connection)
    count(this.#byAddress, admitted.address, -1)
    count(this.#byUser, admitted.user, -1)
  }

  #refuse(cause: RefusalCause): number {
    this.refused[cause] += 1
    return cause === "rate" ? Reason.CONNECTION_RATE_EXCEEDED : Reason.QUOTA_EXCEEDED
  }
}

/** `max` 0 = no limit. */
function isAtLimit(counts: ReadonlyMap<string, number>, key: string, max: number): boolean {
  return max !== 0 && (counts.get(key) ?? 0) >= max
}

function count(counts: Map<string, number>, key: string, change: number): void {
  const next = (counts.get(key) ?? 0) + change
  if (next === 0) counts.delete(key)
  else counts.set(key, next)
}
