/**
 * What all partitions of one engine hold together, and who pays when that is more than it may be: the largest, by its oldest batches.
 *
 * So the budget is shared fairly without anyone having a share: no partition is cut while another holds twice as much, a flood on one
 * topic takes what the small ones hold last, and a partition that came first has no better right than one that came later. Partitions
 * hang in a line for each power of two of their size; one moves between lines only when its size doubles or halves, so that growing
 * costs a comparison. Within the line of the largest they pay in turns.
 *
 * Invariants
 *  - `used` is the sum of what the members hold, at most `max` after each {@link MemoryBudget.settle}, apart from the newest batch of the
 *    partition that grows.
 *  - A member that holds something hangs in the line of its size, one that holds nothing in none.
 */

/** Why something was forgotten. */
export type TrimReason = "age" | "size" | "records" | "budget"

/** A partition as the budget sees it. All but `heldBytes` of its fields are the budget's own. */
export interface BudgetMember {
  /** Bytes of memory that it takes; where it takes any it has a batch. */
  readonly heldBytes: number
  /** Forgets its oldest batch because the budget is spent, also its newest unless `keepsNewest`; false where it may forget none. */
  payOldest(keepsNewest: boolean): boolean
  budgetLine: number
  /** While it holds from `budgetFloor` on and less than `budgetCeiling` it stays in its line. */
  budgetFloor: number
  budgetCeiling: number
  budgetBefore: BudgetMember | undefined
  budgetAfter: BudgetMember | undefined
}

/** The line of those that hold nothing. */
export const NO_LINE = -1
/** Sizes below 2^53. */
const LINES = 53
const TWO_32 = 4_294_967_296

export class MemoryBudget {
  /** Bytes of memory that all members take. */
  used = 0
  readonly max: number
  /** Bytes of batches that were forgotten since the start, by reason. */
  readonly trimmed: Record<TrimReason, number> = { age: 0, size: 0, records: 0, budget: 0 }
  readonly #first = new Array<BudgetMember | undefined>(LINES).fill(undefined)
  readonly #last = new Array<BudgetMember | undefined>(LINES).fill(undefined)

  /** `max` in bytes. */
  constructor(max: number) {
    this.max = max
  }

  /** `member` holds more or less than belongs into its line. */
  moved(member: BudgetMember): void {
    const line = lineOf(member.heldBytes)
    if (line === member.budgetLine) return
    this.#unhang(member)
    if (line !== NO_LINE) this.#hang(member, line)
  }

  /** Has the largest pay until no more than `max` is used; of `grown`, which has just taken a batch, that one stays. */
  settle(grown: BudgetMember): void {
    while (this.used > this.max) {
      const payer = this.#largest(undefined)
      if (payer?.payOldest(payer === grown)) continue
      // It has nothing but what came just now, and is the largest by that: the next one pays.
      if (!this.#largest(grown)?.payOldest(false)) return
    }
  }

  /** The first of the line of the largest, which goes to the end of that line; `spared` is passed over. */
  #largest(spared: BudgetMember | undefined): BudgetMember | undefined {
    for (let line = LINES - 1; line >= 0; line--) {
      let member = this.#first[line]
      if (member !== undefined && member === spared) member = member.budgetAfter
      if (member === undefined) continue
      if (member.budgetAfter !== undefined) {
        this.#unhang(member)
        this.#hang(member, line)
      }
      return member
    }
    return undefined
  }

  #hang(member: BudgetMember, line: number): void {
    const last = this.#last[line]
    member.budgetLine = line
    member.budgetFloor = 2 ** line
    member.budgetCeiling = 2 ** (line + 1)
    member.budgetBefore = last
    member.budgetAfter = undefined
    if (last === undefined) this.#first[line] = member
    else last.budgetAfter = member
    this.#last[line] = member
  }

  #unhang(member: BudgetMember): void {
    const { budgetLine: line, budgetBefore: before, budgetAfter: after } = member
    if (line === NO_LINE) return
    if (before === undefined) this.#first[line] = after
    else before.budgetAfter = after
    if (after === undefined) this.#last[line] = before
    else after.budgetBefore = before
    member.budgetLine = NO_LINE
    member.budgetFloor = 0
    member.budgetCeiling = 1
    member.budgetBefore = undefined
    member.budgetAfter = undefined
  }
}

/** The line of those that hold `bytes`: 2^line <= bytes < 2^(line + 1). */
export function lineOf(bytes: number): number {
  if (bytes < 1) return NO_LINE
  return bytes < TWO_32 ? 31 - Math.clz32(bytes) : 63 - Math.clz32(bytes / TWO_32)
}
