/**
 * What a group has committed: an offset for each partition it has read, by topic id. Here is only what is kept already.
 *
 * Invariant: {@link GroupOffsets.bytes} is what all of it counts for.
 */

/** What one offset takes beside its metadata, about. */
const OFFSET_BYTES = 160

export interface CommittedOffset {
  readonly offset: number
  /** -1 = not said. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** Milliseconds since 1970. */
  readonly committedAtMs: number
  /** When it ends by its own wish (before version 5), milliseconds since 1970; 0 = as all others do. */
  readonly expiresAtMs: number
}

export interface OffsetPlace {
  readonly topicId: string
  readonly partition: number
}

/** About how many bytes an offset with this metadata takes. */
export function offsetBytes(metadata: string): number {
  return OFFSET_BYTES + 2 * metadata.length
}

export class GroupOffsets {
  readonly #topics = new Map<string, Map<number, CommittedOffset>>()
  #size = 0
  bytes = 0

  /** Partitions with an offset. */
  get size(): number {
    return this.#size
  }

  topicIds(): Iterable<string> {
    return this.#topics.keys()
  }

  /** By partition. */
  ofTopic(topicId: string): ReadonlyMap<number, CommittedOffset> | undefined {
    return this.#topics.get(topicId)
  }

  get({ topicId, partition }: OffsetPlace): CommittedOffset | undefined {
    return this.#topics.get(topicId)?.get(partition)
  }

  /** How many bytes more all of it takes with these, which take the place of what there is of their partitions; below 0 = fewer. */
  growthOf(writes: ReadonlyArray<OffsetPlace & { readonly committed: Pick<CommittedOffset, "metadata"> }>): number {
    let bytes = 0
    for (const each of writes) {
      const before = this.get(each)
      bytes += offsetBytes(each.committed.metadata) - (before === undefined ? 0 : offsetBytes(before.metadata))
    }
    return bytes
  }

  set({ topicId, partition }: OffsetPlace, committed: CommittedOffset): void {
    let topic = this.#topics.get(topicId)
    if (topic === undefined) {
      topic = new Map()
      this.#topics.set(topicId, topic)
    }
    const before = topic.get(partition)
    if (before === undefined) this.#size += 1
    else this.bytes -= offsetBytes(before.metadata)
    topic.set(partition, committed)
    this.bytes += offsetBytes(committed.metadata)
  }

  delete({ topicId, partition }: OffsetPlace): void {
    const topic = this.#topics.get(topicId)
    const before = topic?.get(partition)
    if (topic === undefined || before === undefined) return
    topic.delete(partition)
    if (topic.size === 0) this.#topics.delete(topicId)
    this.#size -= 1
    this.bytes -= offsetBytes(before.metadata)
  }

  /** Places whose offset `isOver` is true of. */
  where(isOver: (topicId: string, committed: CommittedOffset) => boolean): ReadonlyArray<OffsetPlace> {
    const found: Array<OffsetPlace> = []
    for (const [topicId, topic] of this.#topics) {
      for (const [partition, committed] of topic) if (isOver(topicId, committed)) found.push({ topicId, partition })
    }
    return found
  }
}
