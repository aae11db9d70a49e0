/** Who owns a group: what the group asks of it, and the rules that hold for all. */

export interface GroupRules {
  /** Members of one group. */
  readonly sizeMax: number
  /** How long the first members of an empty group wait for others, ms. */
  readonly initialRebalanceDelayMs: number
}

export interface GroupHost {
  readonly rules: GroupRules
  /** A new member id that begins so. */
  newMemberId(prefix: string): string
  /** Whether this group may take so many bytes more. */
  hasRoom(bytes: number): boolean
  /** Keeps the group as it is now (`ClassicGroup.kept`); `ClassicGroup.stored` is told of the ticket, in a later turn. */
  store(ticket: number): void
  /** A generation has begun. */
  rebalanced(): void
}
