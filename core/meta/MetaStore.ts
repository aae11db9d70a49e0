/**
 * The meta store: the linearizable key-value store of what a whole cluster must agree on, at human pace: created topics, rules,
 * users. The contract is the small one that etcd made familiar.
 *
 * Invariants
 *  - `revision` rises by one per transaction that changed something; a key's `version` is the revision that wrote it.
 *  - A watch delivers every change from its start revision on, in order, each once; it ends with its scope.
 *  - Values are copied in and out.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

export class MetaStoreError extends Schema.TaggedError<MetaStoreError>()("MetaStoreError", {
  message: Schema.String
}) {}

export interface MetaEntry {
  readonly key: string
  readonly value: Uint8Array
  readonly version: number
}

export interface MetaChange {
  readonly key: string
  /** undefined = removed. */
  readonly value: Uint8Array | undefined
  readonly revision: number
}

/**
 * Told of an entry that is there: its value is `bytes[start, end)`, borrowed until this returns. Nothing is written by then, in this call or
 * by it.
 */
export type MetaFound = (key: string, bytes: Uint8Array, start: number, end: number, version: number) => void

/** Writes apply only while every key still has the version named here; 0 = the key must not be there. */
export interface MetaTransaction {
  readonly compare: ReadonlyArray<{ readonly key: string; readonly version: number }>
  readonly writes: ReadonlyArray<{
    readonly key: string
    readonly value: Uint8Array | undefined
    /** The lease that removes the key when it ends. */
    readonly lease?: number
  }>
}

export interface MetaTransactionResult {
  readonly committed: boolean
  readonly revision: number
}

export interface MetaStoreShape {
  get(key: string): Effect.Effect<MetaEntry | undefined, MetaStoreError>
  /** Entries whose key begins with `prefix`, in key order, from after `cursor`, at most `limit`. */
  range(prefix: string, cursor: string, limit: number): Effect.Effect<ReadonlyArray<MetaEntry>, MetaStoreError>
  transact(transaction: MetaTransaction): Effect.Effect<MetaTransactionResult, MetaStoreError>
  /**
   * Calls `changed` for what is there now and then for every change under `prefix`, for the life of the scope. With `found` a store may tell
   * that of what is there now instead, in the order of keys: a million entries are then no objects.
   */
  watch(
    prefix: string,
    changed: (change: MetaChange) => void,
    found?: MetaFound
  ): Effect.Effect<void, MetaStoreError, Scope.Scope>
  /** A lease of `ttlMs`; keys written under it vanish when it is not kept alive. */
  grantLease(ttlMs: number): Effect.Effect<number, MetaStoreError>
  keepLeaseAlive(lease: number): Effect.Effect<void, MetaStoreError>
  revokeLease(lease: number): Effect.Effect<void, MetaStoreError>
}

export class MetaStore extends Context.Service<MetaStore, MetaStoreShape>()("manifold/core/meta/MetaStore") {}
