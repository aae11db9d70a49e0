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
  readonly #ban: (clientIdentifier: string) => void

  constructor(bounds: FlappingBounds, ban: (clientIdentifier: string) => void) {
    this.#bounds = bounds
    this.#ban = ban
  }

  get watchedCount(): number {
    return this.#watched.size
  }

  /** Counts a connection; whether it is one too many. `nowMs` is monotonic. */
  isOneTooMany(clientIdentifier: string, nowMs: number): boolean {
    this.#sweep(nowMs)
    const caughtUntilMs = this.#caught.get(clientIdentifier)
    if (caughtUntilMs !== undefined && nowMs < caughtUntilMs) return true
    const watched = this.#watched.get(clientIdentifier)
    if (watched === undefined || watched.untilMs <= nowMs) {
      this.#watched.delete(clientIdentifier)
      this.#watched.set(clientIdentifier, { untilMs: nowMs + this.#bounds.windowMs, count: 1 })
      return false
    }
    watched.count += 1
    if (watched.count <= this.#bounds.connectionsMax) return false
    this.#watched.delete(clientIdentifier)
    this.#caught.delete(clientIdentifier)
    this.#caught.set(clientIdentifier, nowMs + GAP_MS)
    this.found += 1
    this.#ban(clientIdentifier)
    return true
  }

  /** The blacklist has it, or had: from now on that alone says who is refused. */
  settled(clientIdentifier: string): void {
    this.#caught.delete(clientIdentifier)
  }

  #sweep(nowMs: number): void {
    sweep(this.#caught, ([, untilMs]) => untilMs <= nowMs)
    sweep(this.#watched, ([, { untilMs }]) => untilMs <= nowMs || this.#watched.size > WATCHED_MAX)
  }
}

/** Takes off the first entries that are over, a few at a time. */
function sweep<Value>(entries: Map<string, Value>, isOver: (entry: readonly [string, Value]) => boolean): void {
  let count = 0
  for (const entry of entries) {
    if (count === SWEPT || !isOver(entry)) return
    entries.delete(entry[0])
    count += 1
  }
}
