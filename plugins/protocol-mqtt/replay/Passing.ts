/**
 * Moves the places of replays that rest at the ends of their logs: what has been appended and matches nothing of theirs has woken nobody, and they
 * stand where they read last. A place that stays behind would have the queue logs keep what nobody needs, and would be overtaken by retention;
 * and whoever comes back would read all of it again.
 *
 * Invariants
 *  - A log is asked where it ends before places are moved there: what was appended below that has been told to those who rest.
 *  - Where a topic was removed between two looks, this shard may have known that later than the one that stored under one of its names in another
 *    topic, and who rests there was not told: it reads again, and is moved in a later look. So a place moves to where its log ended a look ago.
 */
import type { Broker } from "../Broker.ts"
import { keyOf, type RestingPlace } from "./Cursor.ts"
import { QUEUE } from "./queue-history.ts"

export class Passing {
  readonly #broker: Broker
  /** Where partitions ended at the last look. */
  #ends = new Map<string, number>()
  #removals = 0

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Goes on with `queueEnds`, where the queue logs ended a moment ago; partitions are asked for, each once however many rest there. */
  async look(queueEnds: ReadonlyArray<number>): Promise<void> {
    const { sessions, services } = this.#broker
    const { removals } = services.history
    const isMoved = removals !== this.#removals
    this.#removals = removals
    const ends = isMoved ? new Map<string, number>() : this.#ends
    for (const [log, end] of queueEnds.entries()) ends.set(keyOf(QUEUE, log), end)
    const resting = new Map<string, RestingPlace>()
    for (const session of sessions.resident()) {
      session.replays?.passOn(ends)
      if (isMoved) session.replays?.readAgain()
      session.replays?.resting(resting)
    }
    this.#ends = new Map()
    for (const [key, { topic, partition }] of resting) {
      const state = services.logs.state(topic, partition)
      // What can be told at once takes no turn of its own.
      const { refusal, highWatermark } = state instanceof Promise ? await state : state
      // What is not committed may be lost, and its offsets given again.
      if (refusal === 0) this.#ends.set(key, highWatermark)
    }
  }
}
