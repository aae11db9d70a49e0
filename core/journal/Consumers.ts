/** The state machines that a journal feeds, in the order in which they registered. */
import type { Durability, JournalConsumer } from "./Journal.ts"

export class Consumers {
  readonly all: Array<JournalConsumer> = []
  /** The segment at which they were last asked for a checkpoint. */
  #askedAt = 0

  /** Entries up to this one have been put away by all; 0 without consumers. */
  get applied(): number {
    let least = this.all[0]?.appliedIndex ?? 0
    for (const { appliedIndex } of this.all) least = Math.min(least, appliedIndex)
    return least
  }

  /** The highest entry that one of them has put away. */
  get appliedByOne(): number {
    let most = 0
    for (const { appliedIndex } of this.all) most = Math.max(most, appliedIndex)
    return most
  }

  committed(index: number, durability: Durability): void {
    for (const consumer of this.all) consumer.committed(index, durability)
  }

  lost(index: number, refusal: number): void {
    for (const consumer of this.all) consumer.lost(index, refusal)
  }

  /** Asks those that have not put away entry `oldest`; once for each number of the latest segment. */
  ask(oldest: number, latest: number): void {
    if (latest === this.#askedAt) return
    this.#askedAt = latest
    for (const consumer of this.all) if (consumer.appliedIndex < oldest) consumer.checkpoint()
  }

  /** They may be asked again for the same segment. */
  remind(): void {
    this.#askedAt = 0
  }
}
