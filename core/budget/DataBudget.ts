/**
 * Keeps the data directory of a node, and each tenant's topics, within their bounds: looks once a second at what all stores take and at
 * what the file system has left, says when producers are refused, and has the oldest records deleted, of all stores together.
 *
 * It asks stores and tells them; all that passes is plain data, so a store may lie on another thread.
 *
 * Invariants
 *  - A look costs a question to each account, and no file is walked; one that does not answer counts as it last did.
 *  - Between two looks no more is written than a small part of the bound: where more was, the next look does not wait for its second.
 *  - One round of deleting at a time, of a part of the budget; the next begins when it is done and measured: at the next look, or at once
 *    while producers are refused.
 *  - Nothing is deleted for the file system's sake where the operator has named no budget.
 */
import type { ClockShape, Timer } from "../platform/Clock.ts"
import type { LogShape } from "../telemetry/Log.ts"
import { dealDeletion } from "./deal-deletion.ts"
import {
  boundOf,
  EARLY_SHARE,
  excessOf,
  type Pressure,
  pressureOf,
  ROUND_SHARE,
  type StorageSizes,
  TENANT_ROUND_SHARE
} from "./pressure.ts"
import type { Deletion, StorageAccount, StorageUse } from "./StorageAccount.ts"
import type { BudgetLimits, StorageRoom } from "./StorageBudget.ts"

/** Between two looks. */
export const LOOK_MS = 1_000
/** Faster than a node writes, bytes/s: what is looked at between two looks is how much was written, not more often than this makes needful. */
const WRITTEN_PER_SECOND_MAX = 1_073_741_824
const WATCH_MS_MIN = 20
/** Rounds that follow each other without a pause: those that a whole budget is deleted in. */
const ROUNDS_PER_LOOK = 1 / ROUND_SHARE
const AREA = "storage"
const NOTHING: StorageUse = { usedBytes: 0, freeBytes: 0, tenants: [] }

/** A store: its journal, and what plugins keep beside it. */
export interface BudgetedStore {
  /** Of the journal's files; `freeBytes` are in those that wait to be used again. */
  readonly journal: () => StorageSizes
  /** Bytes that the journal has written since the start: all that is stored passes there. */
  readonly writtenBytes: () => number
  readonly accounts: () => ReadonlyArray<StorageAccount>
}

export interface DataBudgetParts {
  readonly stores: ReadonlyArray<BudgetedStore>
  /** What the file system of the data directory has free. Rejects where that cannot be told now. */
  readonly freeBytes: () => Promise<number>
  readonly limits: BudgetLimits
  readonly room: StorageRoom
  readonly clock: ClockShape
  readonly log: LogShape
}

export class DataBudget {
  /** As of the last look. */
  sizes: StorageSizes = { usedBytes: 0, freeBytes: Number.POSITIVE_INFINITY }
  /** Bytes of stored topics by tenant. */
  tenants: ReadonlyMap<number, number> = new Map()
  /** Rounds of deleting since the start. */
  rounds = 0
  readonly #parts: DataBudgetParts
  readonly #uses = new Map<StorageAccount, StorageUse>()
  readonly #asked = new Map<object, Promise<void>>()
  #diskBytes = Number.POSITIVE_INFINITY
  /** What was written when the last look was taken. */
  #lookedAtBytes = 0
  #isDeleting = false
  /** Rounds since the last look that was due by time. */
  #chained = 0
  #round: Promise<void> | undefined
  #timer: Timer | undefined
  #isClosed = false

  constructor(parts: DataBudgetParts) {
    this.#parts = parts
  }

  /** What the data directory may take now; infinite where nothing bounds it. */
  get boundBytes(): number {
    return boundOf(this.sizes, this.#parts.limits.dataBytesMax)
  }

  /** Measures, judges, and goes on doing so. Settled after the first look. */
  async start(): Promise<void> {
    await this.#measure()
    this.#look()
    const { clock } = this.#parts
    let dueMs = clock.monotonicMs() + LOOK_MS
    const again = (): void => {
      this.#timer = clock.after(Math.min(this.#watchMs(), dueMs - clock.monotonicMs()), () => {
        if (clock.monotonicMs() >= dueMs) {
          dueMs = clock.monotonicMs() + LOOK_MS
          // What has answered since the last look counts; the questions are for the next.
          this.#chained = 0
          this.#look()
          void this.#measure()
        } else if (this.#writtenBytes() - this.#lookedAtBytes > EARLY_SHARE * this.boundBytes) {
          this.#lookedAtBytes = this.#writtenBytes()
          void this.#measure().then(() => this.#look())
        }
        again()
      })
    }
    if (!this.#isClosed) again()
  }

  /** Until it is looked at how much was written. */
  #watchMs(): number {
    return Math.max(WATCH_MS_MIN, Math.round((1_000 * EARLY_SHARE * this.boundBytes) / WRITTEN_PER_SECOND_MAX))
  }

  #writtenBytes(): number {
    return this.#parts.stores.reduce((sum, { writtenBytes }) => sum + writtenBytes(), 0)
  }

  /** Looks no more; a round that is under way ends without another. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #accounts(): ReadonlyArray<StorageAccount> {
    return this.#parts.stores.flatMap(({ accounts }) => accounts())
  }

  /** Asks all that have answered the last time. Settled when these have. */
  async #measure(): Promise<void> {
    const asked = this.#accounts().map((account) =>
      this.#ask(account, async () => {
        this.#uses.set(account, await account.measure())
      })
    )
    const disk = this.#ask(this, async () => {
      this.#diskBytes = await this.#parts.freeBytes()
    })
    await Promise.all([...asked, disk])
  }

  #ask(whom: object, question: () => Promise<void>): Promise<void> {
    let answer = this.#asked.get(whom)
    if (answer === undefined) {
      // Who cannot answer now, as a store that is being closed, counts as it last did.
      answer = question()
        .catch(() => {})
        .finally(() => this.#asked.delete(whom))
      this.#asked.set(whom, answer)
    }
    return answer
  }

  #look(): void {
    if (this.#isClosed) return
    this.#lookedAtBytes = this.#writtenBytes()
    let usedBytes = 0
    let freeBytes = this.#diskBytes
    const tenants = new Map<number, number>()
    for (const { journal, accounts } of this.#parts.stores) {
      const uses = accounts().map((account) => this.#uses.get(account) ?? NOTHING)
      for (const sizes of [journal(), ...uses]) {
        usedBytes += sizes.usedBytes
        freeBytes += sizes.freeBytes
      }
      for (const [tenant, bytes] of uses.flatMap((use) => use.tenants)) {
        tenants.set(tenant, (tenants.get(tenant) ?? 0) + bytes)
      }
    }
    this.sizes = { usedBytes, freeBytes }
    this.tenants = tenants
    const { room } = this.#parts
    const before = room.pressure
    room.pressure = pressureOf(before, usedBytes, this.boundBytes)
    if (room.pressure !== before) this.#tell(before, room.pressure)
    if (this.#round === undefined) this.#begin()
  }

  /** Begins a round where one is due. */
  #begin(): void {
    const deletion = this.#due()
    if (deletion === undefined) return
    this.rounds += 1
    let hasGone = false
    this.#round = this.#delete(deletion)
      .then((bytes) => {
        hasGone = bytes > 0
      })
      .catch((error: unknown) => {
        this.#parts.log.warn(AREA, "what is oldest could not be deleted; it is tried again", { reason: String(error) })
      })
      // What is asked now is answered with what the round has left.
      .then(() => Promise.all(this.#asked.values()))
      .then(() => this.#measure())
      .finally(() => {
        this.#round = undefined
        if (!hasGone || this.#parts.room.pressure !== "full" || ++this.#chained >= ROUNDS_PER_LOOK) return
        this.#look()
      })
  }

  #due(): Deletion | undefined {
    const { limits, room } = this.#parts
    const excess = excessOf(this.sizes, limits.dataBytesMax)
    if (room.pressure !== "ok") this.#isDeleting = true
    if (excess === 0) this.#isDeleting = false
    if (this.#isDeleting) return { bytes: excess, tenant: undefined, reason: "budget" }
    const { tenantBytesMax } = limits
    if (tenantBytesMax === 0) return undefined
    for (const [tenant, bytes] of this.tenants) {
      if (bytes <= tenantBytesMax) continue
      return { bytes: Math.min(bytes - tenantBytesMax, TENANT_ROUND_SHARE * tenantBytesMax), tenant, reason: "tenant" }
    }
    return undefined
  }

  /** Returns how much was asked to go. */
  async #delete(deletion: Deletion): Promise<number> {
    const accounts = this.#accounts()
    const offers = await Promise.all(accounts.map((account) => account.oldest(deletion.bytes, deletion.tenant)))
    const dealt = dealDeletion(offers, deletion.bytes)
    await Promise.all(
      accounts.map((account, at) => {
        const bytes = dealt[at] ?? 0
        return bytes === 0 ? undefined : account.deleteOldest({ ...deletion, bytes })
      })
    )
    return dealt.reduce((sum, bytes) => sum + bytes, 0)
  }

  #tell(before: Pressure, now: Pressure): void {
    const { log } = this.#parts
    const { usedBytes, freeBytes } = this.sizes
    const fields = { used_bytes: usedBytes, bound_bytes: this.boundBytes, free_bytes: freeBytes }
    if (now === "full") log.error(AREA, "the data directory is full: producers are refused until there is room", fields)
    else if (before === "full") log.warn(AREA, "the data directory has room again: producers are taken", fields)
    else if (now === "high") log.warn(AREA, "the data directory is nearly full", fields)
    if (now === "ok") log.info(AREA, "the data directory is not nearly full any more", fields)
  }
}
