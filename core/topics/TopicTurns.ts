/**
 * Who changes a topic: one after the other by its name, on the shard that coordinates it. Another binding, an alteration, the switch of a move and a
 * deletion each find the topic as the one before has left it, and none sees it in between.
 *
 * Who has the turn waits for nobody who wants it: a deletion gives moves up before its own turn, as they may be about to switch.
 */
import { Effect, Semaphore } from "effect"
import type { TopicInfo } from "./TopicInfo.ts"

interface Turn {
  readonly semaphore: Semaphore.Semaphore
  /** Those that have it or want it. */
  count: number
}

export class TopicTurns {
  readonly #turns = new Map<string, Turn>()

  /** Carries it out when nobody else changes a topic of that name; in the order in which they came. */
  take<A, E>({ tenant, name }: Pick<TopicInfo, "tenant" | "name">, change: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const key = `${tenant}/${name}`
      const turn = this.#turns.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), count: 0 }
      turn.count += 1
      this.#turns.set(key, turn)
      const leave = (): void => {
        turn.count -= 1
        if (turn.count === 0) this.#turns.delete(key)
      }
      return Effect.ensuring(turn.semaphore.withPermit(change), Effect.sync(leave))
    })
  }
}
