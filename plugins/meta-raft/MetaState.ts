/**
 * The meta store's state machine: commands in, results out, no clock and no I/O. Every voter applies the same commands in the same
 * order and holds the same state.
 *
 * Invariants
 *  - `revision` rises by one with each transaction that changes something; a failed comparison changes nothing.
 *  - A key that hangs on a lease is removed in the revision in which the lease ends.
 */
import type { MetaChange, MetaEntry, MetaTransaction, MetaTransactionResult } from "../../core/mod.ts"

interface Stored {
  readonly value: Uint8Array
  readonly version: number
  readonly lease: number
}

interface Lease {
  readonly ttlMs: number
  endsAtMs: number
}

export class MetaState {
  revision = 0
  readonly #entries = new Map<string, Stored>()
  readonly #leases = new Map<number, Lease>()
  readonly #changed: (changes: ReadonlyArray<MetaChange>) => void
  #changes: Array<MetaChange> = []
  #nextLease = 1

  /** `changed` is called once with the changes of each command that had some, in order, when all of it is applied. */
  constructor(changed: (changes: ReadonlyArray<MetaChange>) => void) {
    this.#changed = changed
  }

  get(key: string): MetaEntry | undefined {
    const stored = this.#entries.get(key)
    return stored === undefined ? undefined : { key, value: stored.value.slice(), version: stored.version }
  }

  range(prefix: string, cursor: string, limit: number): ReadonlyArray<MetaEntry> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix) && key > cursor).sort()
    const found: Array<MetaEntry> = []
    for (const key of keys.slice(0, limit)) {
      const entry = this.get(key)
      if (entry !== undefined) found.push(entry)
    }
    return found
  }

  transact(transaction: MetaTransaction): MetaTransactionResult {
    for (const { key, version } of transaction.compare) {
      if ((this.#entries.get(key)?.version ?? 0) !== version) return { committed: false, revision: this.revision }
    }
    for (const { lease } of transaction.writes) {
      if (lease !== undefined && !this.#leases.has(lease)) return { committed: false, revision: this.revision }
    }
    const { writes } = transaction
    if (writes.some(({ key, value }) => value !== undefined || this.#entries.has(key))) this.revision += 1
    const { revision } = this
    for (const { key, value, lease } of writes) this.#write(key, value, lease ?? 0)
    this.#publish()
    return { committed: true, revision }
  }

  grantLease(ttlMs: number, nowMs: number): number {
    const lease = this.#nextLease++
    this.#leases.set(lease, { ttlMs, endsAtMs: nowMs + ttlMs })
    return lease
  }

  /** False where the lease has ended already. */
  keepLeaseAlive(lease: number, nowMs: number): boolean {
    const known = this.#leases.get(lease)
    if (known === undefined) return false
    known.endsAtMs = nowMs + known.ttlMs
    return true
  }

  revokeLease(lease: number): void {
    if (!this.#leases.delete(lease)) return
    const keys = [...this.#entries].filter(([, stored]) => stored.lease === lease).map(([key]) => key)
    if (keys.length === 0) return
    this.revision += 1
    for (const key of keys) this.#write(key, undefined, 0)
    this.#publish()
  }

  /** Ends the leases whose time is over; returns when the next one ends, or undefined where there is none. */
  expireLeases(nowMs: number): number | undefined {
    let next: number | undefined
    for (const [lease, { endsAtMs }] of [...this.#leases]) {
      if (endsAtMs <= nowMs) this.revokeLease(lease)
      else next = Math.min(next ?? endsAtMs, endsAtMs)
    }
    return next
  }

  #write(key: string, value: Uint8Array | undefined, lease: number): void {
    if (value === undefined) {
      if (!this.#entries.delete(key)) return
    } else this.#entries.set(key, { value: value.slice(), version: this.revision, lease })
    this.#changes.push({ key, value: value?.slice(), revision: this.revision })
  }

  #publish(): void {
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) this.#changed(changes)
  }
}
