/** Member ids that were given out and have not come back to join (KIP-394). Each is forgotten when its session would end. */

const PENDING_BYTES = 120

export class PendingMembers {
  readonly #deadlines = new Map<string, number>()
  #bytes = 0

  get size(): number {
    return this.#deadlines.size
  }
  get bytes(): number {
    return this.#bytes
  }
  /** When the next one is forgotten. */
  get dueMs(): number {
    let due = Number.POSITIVE_INFINITY
    for (const deadline of this.#deadlines.values()) due = Math.min(due, deadline)
    return due
  }

  has(id: string): boolean {
    return this.#deadlines.has(id)
  }

  /** Returns the deadline. */
  add(id: string, deadlineMs: number): number {
    this.#deadlines.set(id, deadlineMs)
    this.#bytes += PENDING_BYTES + 2 * id.length
    return deadlineMs
  }

  remove(id: string): boolean {
    if (!this.#deadlines.delete(id)) return false
    this.#bytes -= PENDING_BYTES + 2 * id.length
    return true
  }

  expired(nowMs: number): ReadonlyArray<string> {
    return Array.from(this.#deadlines).flatMap(([id, deadline]) => (deadline <= nowMs ? [id] : []))
  }

  paused(pausedMs: number): void {
    for (const [id, deadline] of this.#deadlines) this.#deadlines.set(id, deadline + pausedMs)
  }

  clear(): void {
    this.#deadlines.clear()
    this.#bytes = 0
  }
}
