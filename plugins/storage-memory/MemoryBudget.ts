/** What all partitions of one engine hold together. When it is spent, the partition that grows pays, down to a fair share. */
export class MemoryBudget {
  used = 0
  readonly max: number
  /** A partition below this many bytes is never cut for the budget's sake. */
  readonly share: number

  constructor(max: number, share: number) {
    this.max = max
    this.share = share
  }
}
