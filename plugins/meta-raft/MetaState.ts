/**
 * The meta store's state machine: commands in, outcomes out, no clock and no I/O. Every voter applies the same commands in the same
 * order and holds the same state.
 *
 * Invariants
 *  - `revision` rises by one with each command that changes a key; a failed comparison changes nothing.
 *  - A key that hangs on a lease is removed in the revision in which the lease ends.
 */
import {
  ByteWriter,
  type MetaChange,
  type MetaEntry,
  type MetaFound,
  type MetaTransaction,
  type MetaTransactionResult,
  OrderedPages,
  textOfBytes
} from "../../core/mod.ts"
import type { MetaCommand } from "./commands.ts"
import type { SnapshotEntry, SnapshotHead, SnapshotTarget, StoredValue } from "./snapshot-format.ts"

/** What came of a command; `lease` is 0 where there is no such lease. */
export type MetaOutcome =
  | { readonly kind: "transacted"; readonly result: MetaTransactionResult }
  | { readonly kind: "lease"; readonly lease: number }

interface Lease {
  readonly ttlMs: number
  readonly keys: Set<string>
}

/** What stands before the value of an entry. */
interface RecordNumbers {
  version: number
  lease: number
  /** Where the value begins. */
  end: number
}

export class MetaState implements SnapshotTarget {
  revision = 0
  /** Called once with the changes of each command that had some, in order, when all of it is applied. */
  changed: (changes: ReadonlyArray<MetaChange>) => void = () => {}
  readonly #entries = new OrderedPages()
  readonly #leases = new Map<number, Lease>()
  readonly #writer = new ByteWriter()
  readonly #numbers: RecordNumbers = { version: 0, lease: 0, end: 0 }
  #changes: Array<MetaChange> = []
  #nextLease = 1

  get size(): number {
    return this.#entries.size
  }

  get(key: string): MetaEntry | undefined {
    const stored = this.stored(key)
    return stored === undefined ? undefined : { key, value: stored.value.slice(), version: stored.version }
  }

  range(prefix: string, cursor: string, limit: number): ReadonlyArray<MetaEntry> {
    const found: Array<MetaEntry> = []
    if (limit <= 0) return found
    // No key lies between the cursor and the same with a zero behind it.
    const after = cursor === "" ? "" : `${cursor}\0`
    for (const { key, stored } of this.entriesFrom(prefix > after ? prefix : after)) {
      if (!key.startsWith(prefix)) break
      found.push({ key, value: stored.value.slice(), version: stored.version })
      if (found.length >= limit) break
    }
    return found
  }

  /** What a key holds; its value is a view that holds until the next change. */
  stored(key: string): StoredValue | undefined {
    const record = this.#entries.get(key)
    return record === undefined ? undefined : this.#storedIn(record)
  }

  /** Entries from a key on, in order, as {@link MetaState.stored} gives them. Nothing may change while this is gone through. */
  *entriesFrom(start: string): Generator<{ readonly key: string; readonly stored: StoredValue }, void> {
    for (const { key, value } of this.#entries.from(start)) yield { key, stored: this.#storedIn(value) }
  }

  /** Tells of all entries under a prefix, in order; see {@link MetaFound}. */
  visit(prefix: string, found: MetaFound): void {
    const numbers = this.#numbers
    this.#entries.visit(prefix, (key, bytes, start, end) => {
      if (!key.startsWith(prefix)) return false
      readNumbers(bytes, start, numbers)
      found(key, bytes, numbers.end, end, numbers.version)
      return true
    })
  }

  /** Leases and how long they run without being kept alive, in milliseconds. */
  *leases(): Iterable<{ readonly lease: number; readonly ttlMs: number }> {
    for (const [lease, { ttlMs }] of this.#leases) yield { lease, ttlMs }
  }

  /** Milliseconds that a lease runs; undefined where it has ended or never was. */
  ttlMsOf(lease: number): number | undefined {
    return this.#leases.get(lease)?.ttlMs
  }

  // What a snapshot tells.

  entry({ bytes, keyStart, keyEnd, version, lease, valueStart, valueEnd }: SnapshotEntry): void {
    // A key is made a text only where that is of use: there may be a million.
    const isPlain = lease === 0 && this.#leases.size === 0
    const key = isPlain ? "" : textOfBytes(bytes, keyStart, keyEnd)
    if (!isPlain) this.#unlease(key)
    const writer = this.#writer
    writer.reset()
    writeUnsigned(writer, version)
    writeUnsigned(writer, lease)
    writer.raw(bytes, valueStart, valueEnd)
    this.#entries.setBytes(bytes, keyStart, keyEnd, writer.bytes, 0, writer.length)
    if (lease === 0) return
    // How long it runs is told at the end.
    const found = this.#leases.get(lease) ?? { ttlMs: 0, keys: new Set() }
    found.keys.add(key)
    this.#leases.set(lease, found)
  }

  removed(key: string): void {
    this.#unlease(key)
    this.#entries.delete(key)
  }

  head({ revision, nextLease, leases }: SnapshotHead): void {
    this.revision = revision
    this.#nextLease = nextLease
    const before = new Map(this.#leases)
    this.#leases.clear()
    for (const { lease, ttlMs } of leases) {
      this.#leases.set(lease, { ttlMs, keys: before.get(lease)?.keys ?? new Set() })
    }
  }

  /** The number of the next lease. */
  get nextLease(): number {
    return this.#nextLease
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
      if ((this.stored(key)?.version ?? 0) !== version) return { committed: false, revision: this.revision }
    }
    for (const { lease } of writes) {
      if (lease !== undefined && !this.#leases.has(lease)) return { committed: false, revision: this.revision }
    }
    if (writes.some(({ key, value }) => value !== undefined || this.#entries.get(key) !== undefined)) this.revision += 1
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
    this.#unlease(key)
    if (value === undefined) {
      if (!this.#entries.delete(key)) return
    } else {
      this.#put(key, { value, version: this.revision, lease })
      this.#leases.get(lease)?.keys.add(key)
    }
    this.#changes.push({ key, value: value?.slice(), revision: this.revision })
  }

  /** The key hangs on no lease any more. */
  #unlease(key: string): void {
    if (this.#leases.size === 0) return
    const lease = this.stored(key)?.lease ?? 0
    if (lease !== 0) this.#leases.get(lease)?.keys.delete(key)
  }

  #put(key: string, { version, lease, value }: StoredValue): void {
    const writer = this.#writer
    writer.reset()
    writeUnsigned(writer, version)
    writeUnsigned(writer, lease)
    writer.raw(value, 0, value.length)
    this.#entries.set(key, writer.bytes.subarray(0, writer.length))
  }

  #storedIn(record: Uint8Array): StoredValue {
    const numbers = this.#numbers
    readNumbers(record, 0, numbers)
    return { version: numbers.version, lease: numbers.lease, value: record.subarray(numbers.end) }
  }

  #publish(): void {
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) this.changed(changes)
  }
}

/** A whole number from 0 to 2^53 - 1: seven bits a byte, low ones first, the top bit of each but the last set. */
function writeUnsigned(writer: ByteWriter, value: number): void {
  let rest = value
  while (rest >= 128) {
    writer.uint8((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  writer.uint8(rest)
}

function readNumbers(bytes: Uint8Array, start: number, numbers: RecordNumbers): void {
  numbers.end = start
  numbers.version = readUnsigned(bytes, numbers)
  numbers.lease = readUnsigned(bytes, numbers)
}

/** Reads the number at `at.end`, and moves that behind it. */
function readUnsigned(bytes: Uint8Array, at: { end: number }): number {
  let value = 0
  for (let weight = 1; ; weight *= 128) {
    const byte = bytes[at.end++] ?? 0
    value += (byte & 127) * weight
    if (byte < 128) return value
  }
}
