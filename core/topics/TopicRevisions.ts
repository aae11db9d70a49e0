/**
 * Which of two things that a shard hears of a topic is the newer one: what the meta store's watch tells, in the order in which it was
 * agreed, or the answer to an alteration that was asked for, which may come before that and after later ones.
 *
 * Invariant: what is taken over of a topic is never older than what was before. It holds ids only until the watch has caught up.
 */
export class TopicRevisions {
  /** What the watch told last. */
  #watched = 0
  /** Of topics by id, where an answer was taken over that the watch has not told of yet. */
  readonly #ahead = new Map<string, number>()

  /** Whether to take over what the watch tells. */
  watched(id: string, revision: number): boolean {
    this.#watched = Math.max(this.#watched, revision)
    const ahead = this.#ahead.get(id)
    if (ahead === undefined) return true
    if (revision < ahead) return false
    this.#ahead.delete(id)
    return true
  }

  /** Whether to take over what an answer says that was agreed at `revision`; 0 = nothing was. */
  answered(id: string, revision: number): boolean {
    if (revision <= this.#watched || revision <= (this.#ahead.get(id) ?? 0)) return false
    this.#ahead.set(id, revision)
    return true
  }

  /** The topic is gone. */
  forget(id: string): void {
    this.#ahead.delete(id)
  }
}
