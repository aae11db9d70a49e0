/**
 * The meta store's state machine: commands in, outcomes out, no clock and no I/O. Every voter applies the same commands in the same
 * order and holds the same state.
 *
 * Invariants
 *  - `revision` rises by one with each command that changes a key; a failed comparison changes nothing.
 *  - A key that hangs on a lease is removed in the revision in which the lease ends.
 *  - A stored value is never changed in place: an image that was taken stays what it was.
 */
import {
  type MetaChange,
  type MetaEntry,
  type MetaTransaction,
  type MetaTransactionResult,
  OrderedStrings
} from "../../core/mod.ts"
import type { MetaCommand } from "./commands.ts"

/** What a key holds. */
export interface StoredValue {
  readonly value: Uint8Array
  /** The revision that wrote it. */
  readonly version: number
  /** The lease that it hangs on; 0 = none. */
  readonly lease: number
}

/** All of a state at one moment; its arrays and bytes must not be changed. */
export interface MetaImage {
  readonly revision: number
  readonly nextLease: number
  readonly leases: ReadonlyArray<{ readonly lease: number; readonly ttlMs: number }>
  /** In the order of keys. */
  readonly entries: ReadonlyArray<{ readonly key: string; readonly stored: StoredValue }>
}

/** What came of a command; `lease` is 0 where there is no such lease. */
export type MetaOutcome =
  | { readonly kind: "transacted"; readonly result: MetaTransactionResult }
  | { readonly kind: "lease"; readonly lease: number }

interface Lease {
  readonly ttlMs: number
  readonly keys: Set<string>
}

export class MetaState {
  revision = 0
  readonly #entries = new Map<string, StoredValue>()
  readonly #keys = new OrderedStrings()
  readonly #leases = new Map<number, Lease>()
  readonly #changed: (changes: ReadonlyArray<MetaChange>) => void
  #changes: Array<MetaChange> = []
  #nextLease = 1

  /** `changed` is called once with the changes of each command that had some, in order, when all of it is applied. */
  constructor(changed: (changes: ReadonlyArray<MetaChange>) => void, image?: MetaImage) {
    this.#changed = changed
    if (image === undefined) return
    this.revision = image.revision
    this.#nextLease = image.nextLease
    for (const { lease, ttlMs } of image.leases) this.#leases.set(lease, { ttlMs, keys: new Set() })
    for (const { key, stored } of image.entries) {
      this.#entries.set(key, stored)
      this.#keys.add(key)
      this.#leases.get(stored.lease)?.keys.add(key)
    }
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): MetaEntry | undefined {
    const stored = this.#entries.get(key)
    return stored === undefined ? undefined : { key, value: stored.value.slice(), version: stored.version }
  }

  range(prefix: string, cursor: string, limit: number): ReadonlyArray<MetaEntry> {
    const found: Array<MetaEntry> = []
    if (limit <= 0) return found
    for (const key of this.#keys.page(prefix, cursor)) {
      const entry = this.get(key)
      if (entry !== undefined) found.push(entry)
      if (found.length >= limit) break
    }
    return found
  }

  /** Leases and how long they run without being kept alive, in milliseconds. */
  *leases(): Iterable<{ readonly lease: number; readonly ttlMs: number }> {
    for (const [lease, { ttlMs }] of this.#leases) yield { lease, ttlMs }
  }

  /** Milliseconds that a lease runs; undefined where it has ended or never was. */
  ttlMsOf(lease: number): number | undefined {
    return this.#leases.get(lease)?.ttlMs
  }

  image(): MetaImage {
    const entries: Array<{ readonly key: string; readonly stored: StoredValue }> = []
    for (const key of this.#keys.from("")) {
      const stored = this.#entries.get(key)
      if (stored !== undefined) entries.push({ key, stored })
    }
    return { revision: this.revision, nextLease: this.#nextLease, leases: [...this.leases()], entries }
  }

  apply(command: MetaCommand): MetaOutcome {
    switch (command.kind) {
      case "transact":
        return { kind: "transacted", result: this.#transact(command.transaction) }
      case "grant": {
        const lease = this.#nextLease++
        this.#leases.set(lease, { ttlMs: command.ttlMs, keys: new Set() })
        return { kind: "lease", lease }
      }
      case "keep-alive":
        return { kind: "lease", lease: this.#leases.has(command.lease) ? command.lease : 0 }
      case "revoke":
        this.#endLease(command.lease)
        return { kind: "lease", lease: command.lease }
      case "expire":
        for (const lease of command.leases) this.#endLease(lease)
        return { kind: "lease", lease: 0 }
    }
  }

  #transact({ compare, writes }: MetaTransaction): MetaTransactionResult {
    for (const { key, version } of compare) {
      if ((this.#entries.get(key)?.version ?? 0) !== version) return { committed: false, revision: this.revision }
    }
    for (const { lease } of writes) {
      if (lease !== undefined && !this.#leases.has(lease)) return { committed: false, revision: this.revision }
    }
    if (writes.some(({ key, value }) => value !== undefined || this.#entries.has(key))) this.revision += 1
    const { revision } = this
    for (const { key, value, lease } of writes) this.#write(key, value, lease ?? 0)
    this.#publish()
    return { committed: true, revision }
  }

  #endLease(lease: number): void {
    const ended = this.#leases.get(lease)
    if (ended === undefined) return
    this.#leases.delete(lease)
    if (ended.keys.size === 0) return
    this.revision += 1
    for (const key of [...ended.keys].sort()) this.#write(key, undefined, 0)
    this.#publish()
  }

  #write(key: string, value: Uint8Array | undefined, lease: number): void {
    const before = this.#entries.get(key)
    if (before !== undefined) this.#leases.get(before.lease)?.keys.delete(key)
    if (value === undefined) {
      if (before === undefined) return
      this.#entries.delete(key)
      this.#keys.delete(key)
    } else {
      this.#entries.set(key, { value: value.slice(), version: this.revision, lease })
      if (before === undefined) this.#keys.add(key)
      this.#leases.get(lease)?.keys.add(key)
    }
    this.#changes.push({ key, value: value?.slice(), revision: this.revision })
  }

  #publish(): void {
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) this.#changed(changes)
  }
}
