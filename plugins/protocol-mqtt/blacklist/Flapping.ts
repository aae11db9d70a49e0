/**
 * Finds clients that connect again and again: two that fight over one client identifier, or one that falls over what it is sent.
 *
 * Only those are counted that were let in: who cannot prove who it is bans nobody else.
 *
 * Invariants
 *  - A client's count begins with its first connection of a window and is forgotten with the window.
 *  - No more than {@link WATCHED_MAX} clients are counted; beyond that the one whose window began first is forgotten.
 *
 * Source: the settings of EMQX's and RobustMQ's flapping detection.
 */
export const WATCHED_MAX = 100_000
/** Longest time from the ban until the blacklist has it, ms: refused here meanwhile. */
const GAP_MS = 5_000
/** Windows that are over and are looked at with every connection. */
const SWEPT = 2

export interface FlappingBounds {
  readonly windowMs: number
  /** Connections in a window that are no flapping. */
  readonly connectionsMax: number
}

/** Connections of a client in a window, and when that ends. */
interface Watched {
  untilMs: number
  count: number
}

export class Flapping {
  /** Clients that were found. */
  found = 0
  readonly #bounds: FlappingBounds
  /** In the order in which their windows end. */
  readonly #watched = new Map<string, Watched>()
  /** Those that were found just now, with the time until when they are refused here. */
  readonly #caught = new Map<string, number>()
  readonly #keyOf: (clientIdentifier: string) => string
  readonly #ban: (clientIdentifier: string) => void

  /** `keyOf` makes short keys of identifiers that may be long. */
  constructor(
    bounds: FlappingBounds,
    keyOf: (clientIdentifier: string) => string,
    ban: (clientIdentifier: string) => void
  ) {
    this.#bounds = bounds
    this.#keyOf = keyOf
    this.#ban = ban
  }

  get watchedCount(): number {
    return this.#watched.size
  }

  /** Counts a connection; whether it is one too many. `nowMs` is monotonic. */
  isOneTooMany(clientIdentifier: string, nowMs: number): boolean {
    this.#sweep(nowMs, SWEPT)
    const key = this.#keyOf(clientIdentifier)
    const caughtUntilMs = this.#caught.get(key)
    if (caughtUntilMs !== undefined && nowMs < caughtUntilMs) return true
    const watched = this.#watched.get(key)
    if (watched === undefined || watched.untilMs <= nowMs) {
      this.#watched.delete(key)
      this.#watched.set(key, { untilMs: nowMs + this.#bounds.windowMs, count: 1 })
      return false
    }
    watched.count += 1
    if (watched.count <= this.#bounds.connectionsMax) return false
    this.#watched.delete(key)
    this.#caught.delete(key)
    this.#caught.set(key, nowMs + GAP_MS)
    this.found += 1
    this.#ban(clientIdentifier)
    return true
  }

  /** The blacklist has a client, by its key, or had: from now on that alone says who is refused. */
  settled(key: string): void {
    this.#caught.delete(key)
  }

  /** Forgets all whose windows are over. */
  sweep(nowMs: number): void {
    this.#sweep(nowMs, Number.POSITIVE_INFINITY)
  }

  #sweep(nowMs: number, max: number): void {
    sweep(this.#caught, max, ([, untilMs]) => untilMs <= nowMs)
    sweep(this.#watched, max, ([, { untilMs }]) => untilMs <= nowMs || this.#watched.size > WATCHED_MAX)
  }
}

/** Takes off the first entries that are over, at most `max`. */
function sweep<Value>(
  entries: Map<string, Value>,
  max: number,
  isOver: (entry: readonly [string, Value]) => boolean
): void {
  let count = 0
  for (const entry of entries) {
    if (count === max || !isOver(entry)) return
    entries.delete(entry[0])
    count += 1
  }
}
