/**
 * The seam between live messages and the retained ones of a new subscription.
 *
 * A subscription is live from the turn in which it is made; the retained messages of the shards are visited later, when all know it. What
 * was retained in between has come live by then, before the shard that tells of it as retained: it is not given a second time.
 */
import type { Message } from "./Message.ts"

/** Names that one seam remembers; the newest state of a name beyond them may come twice, live and retained. */
const NAMES_MAX = 1_000

export class RetainedSeam {
  #names: Set<string> | undefined

  /** A message came live. */
  came(message: Message): void {
    if (!message.retain) return
    const names = (this.#names ??= new Set())
    if (names.size < NAMES_MAX) names.add(message.name)
  }

  /** Whether the retained message of this name came live since. */
  has(name: string): boolean {
    return this.#names?.has(name) === true
  }
}

/** The seams of all subscriptions of one subscriber whose retained messages have not been visited yet. */
export class RetainedSeams {
  readonly #open = new Set<RetainedSeam>()

  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  /** A subscription is made in this turn. */
  open(): RetainedSeam {
    const seam = new RetainedSeam()
    this.#open.add(seam)
    return seam
  }

  /** All its retained messages were visited, or will not be. */
  close(seam: RetainedSeam): void {
    this.#open.delete(seam)
  }

  came(message: Message): void {
    for (const seam of this.#open) seam.came(message)
  }
}
