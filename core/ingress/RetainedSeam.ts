/**
 * The seam between live messages and the retained ones of a new subscription.
 *
 * A subscription is live from the turn in which it is made; the retained messages of the shards are visited later, when all know it, and
 * as fast as they are taken. What was retained in between and has come live by then is not given a second time.
 */
import type { Message } from "./Message.ts"

/** Names that are remembered; the newest state of a name beyond them may come twice, live and retained. */
const NAMES_MAX = 4_096

/** When a subscription was made, among the retained messages that came live. */
export interface RetainedSeam {
  readonly since: number
}

/** All seams of one subscriber: which names came live, as retained, and when. */
export class RetainedSeams {
  #count = 0
  readonly #open = new Set<RetainedSeam>()
  readonly #came = new Map<string, number>()

  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  /** A subscription is made in this turn. */
  open(): RetainedSeam {
    const seam = { since: this.#count }
    this.#open.add(seam)
    return seam
  }

  /** All its retained messages were visited, or will not be. */
  close(seam: RetainedSeam): void {
    this.#open.delete(seam)
    if (this.isEmpty) this.#came.clear()
  }

  /** A message has come live, and has reached its subscriber. */
  came(message: Message): void {
    if (!message.retain || this.isEmpty) return
    this.#count += 1
    const { name } = message
    if (this.#came.size < NAMES_MAX || this.#came.has(name)) this.#came.set(name, this.#count)
  }

  /** Whether the retained message of this name came live since the seam was opened. */
  has(seam: RetainedSeam, name: string): boolean {
    return (this.#came.get(name) ?? 0) > seam.since
  }
}
