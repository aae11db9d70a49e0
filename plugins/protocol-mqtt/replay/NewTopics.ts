/**
 * The topics that a replay may have no places in: those that came to be between the look at where it begins and its subscription, or while it was
 * away, and each that comes to be as it reads.
 *
 * Invariant: a message of a topic that was told of, or may be yet, is none that was left out: what the topic has is read from its beginning.
 */
import type { HistoryShape, TopicInfo } from "../../../core/mod.ts"

export class NewTopics {
  /** It is not known yet which topics there are. */
  isLooking = true
  #stop: (() => void) | undefined

  /** Tells of those that there are, and of those that come to be until it is stopped. */
  start(history: HistoryShape, tenant: number, filter: string, came: (topic: TopicInfo) => void): void {
    if (this.#stop !== undefined) return
    let isStopped = false
    const stopWatching = history.watchHomes(tenant, filter, came)
    void history.homesOf(tenant, filter, Number.POSITIVE_INFINITY).then((homes = []) => {
      if (isStopped) return
      this.isLooking = false
      // What was bound and is not any more has messages of meanwhile, too.
      for (const topic of new Set([...homes, ...history.formerHomesOf(tenant, filter)])) came(topic)
    })
    this.#stop = () => {
      isStopped = true
      stopWatching()
    }
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.isLooking = true
  }
}
