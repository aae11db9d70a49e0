/**
 * Removed topics, and logs that moved topics have left, until nothing is left of them. Every shard has its engines forget the partitions; when all have, the topic's
 * coordinator takes it off the list in the meta store. What a crash interrupts is done again after the next start.
 *
 * Invariant: a topic leaves the list when no shard's engine holds anything of it.
 */
import { Effect } from "effect"
import type { LinkPort } from "../link/LinkPort.ts"
import type { MetaChange } from "../meta/MetaStore.ts"
import type { AgreedTopics } from "./AgreedTopics.ts"
import type { OpenPartitions } from "./OpenPartitions.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, REMOVED_PREFIX } from "./topic-codec.ts"

interface Removal {
  readonly info: TopicInfo
  /** Settles when this shard's engine has forgotten the topic; false where it could not. */
  readonly done: Promise<boolean>
  /** It stands in the meta store's list. */
  isListed: boolean
  /** The coordinator asks, or has asked, all shards. */
  isAsked: boolean
}

export interface RemovalsOptions {
  readonly port: LinkPort
  readonly open: OpenPartitions
  readonly agreed: AgreedTopics
  /** Whether this shard coordinates the topic. */
  readonly isCoordinated: (info: TopicInfo) => boolean
}

export class Removals {
  readonly #options: RemovalsOptions
  readonly #removals = new Map<string, Removal>()

  constructor(options: RemovalsOptions) {
    this.#options = options
    options.port.answer("topics.forgotten", async (_from, { facts }) => ({
      facts: (await this.#removals.get(facts as string)?.done) ?? true
    }))
  }

  /** Closes the topic's partitions and has the engine forget them; once a topic. */
  begin(info: TopicInfo): void {
    const id = logIdOf(info)
    if (this.#removals.has(id)) return
    const done = Effect.runPromise(this.#options.open.remove(info))
    const removal: Removal = { info, done, isListed: false, isAsked: false }
    this.#removals.set(id, removal)
    void done.then(() => {
      if (!removal.isListed) this.#removals.delete(id)
    })
  }

  /** Takes over what the meta store says of its list. */
  metaChanged({ key, value }: MetaChange): void {
    if (value === undefined) {
      this.#removals.delete(key.slice(REMOVED_PREFIX.length))
      return
    }
    const info = decodeTopic(key, value)
    this.begin(info)
    const removal = this.#removals.get(logIdOf(info))
    if (removal !== undefined) removal.isListed = true
  }

  /** Takes off the list what no shard holds any more; called about once a second, when all shards are there. */
  housekeep(): void {
    for (const removal of this.#removals.values()) {
      if (!removal.isListed || removal.isAsked || !this.#options.isCoordinated(removal.info)) continue
      removal.isAsked = true
      void this.#finish(removal.info).catch(() => {
        removal.isAsked = false
      })
    }
  }

  async #finish(info: TopicInfo): Promise<void> {
    const { port, agreed } = this.#options
    const asked = Array.from({ length: port.shards }, (_, shard) =>
      port.call(shard, "topics.forgotten", { facts: logIdOf(info) })
    )
    const answers = await Promise.all(asked)
    // What an engine could not forget has been told of; the next start tries again.
    if (answers.every(({ facts }) => facts === true)) await Effect.runPromise(agreed.forgotten(info))
  }
}
