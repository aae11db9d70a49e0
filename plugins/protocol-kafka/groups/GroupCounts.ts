/** What the groups of one shard count: plain numbers, raised on the way, read when metrics are scraped. */

/** Why a join or a commit had no room. */
export type GroupRefusal = "group_size" | "group_bytes" | "total_bytes"

export class GroupCounts {
  /** Generations that have begun. */
  rebalances = 0
  /** Offsets that were committed, and are kept. */
  offsetCommits = 0
  /** Offsets that were forgotten since nobody has used them for so long, or their topic is gone. */
  offsetsExpired = 0
  /** Groups that were forgotten since they had neither members nor offsets. */
  groupsExpired = 0
  readonly refused = new Map<GroupRefusal, number>()

  refuse(cause: GroupRefusal): void {
    this.refused.set(cause, (this.refused.get(cause) ?? 0) + 1)
  }
}
