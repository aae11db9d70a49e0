/** The meta store of a node that keeps nothing on disk: a command is committed when it is applied. */
import { Effect, type Scope } from "effect"
import {
  type ClockShape,
  type MetaChange,
  type MetaEntry,
  type MetaFound,
  MetaStoreError,
  type MetaStoreShape,
  type MetaTransaction,
  type MetaTransactionResult
} from "../../core/mod.ts"
import type { MetaCommand } from "./commands.ts"
import { LeaseTimes } from "./LeaseTimes.ts"
import { MetaState } from "./MetaState.ts"
import { Watches } from "./Watches.ts"

export class MemoryStore implements MetaStoreShape {
  readonly #watches = new Watches()
  readonly #state = new MetaState()
  readonly #leases: LeaseTimes

  constructor(clock: ClockShape) {
    this.#state.changed = (changes) => this.#watches.publish(changes)
    this.#leases = new LeaseTimes(clock, (leases) => {
      this.#state.apply({ kind: "expire", leases })
      for (const lease of leases) this.#leases.forget(lease)
    })
  }

  get(key: string): Effect.Effect<MetaEntry | undefined> {
    return Effect.sync(() => this.#state.get(key))
  }

  range(prefix: string, cursor: string, limit: number): Effect.Effect<ReadonlyArray<MetaEntry>> {
    return Effect.sync(() => this.#state.range(prefix, cursor, limit))
  }

  transact(transaction: MetaTransaction): Effect.Effect<MetaTransactionResult> {
    return Effect.sync(() => {
      const outcome = this.#state.apply({ kind: "transact", transaction })
      return outcome.kind === "transacted" ? outcome.result : { committed: false, revision: this.#state.revision }
    })
  }

  watch(
    prefix: string,
    changed: (change: MetaChange) => void,
    found?: MetaFound
  ): Effect.Effect<void, never, Scope.Scope> {
    const begin = Effect.sync(() => this.#watches.add(prefix, changed, this.#state, found))
    return Effect.acquireRelease(begin, (end) => Effect.sync(end)).pipe(Effect.asVoid)
  }

  grantLease(ttlMs: number): Effect.Effect<number> {
    return Effect.sync(() => this.#keepTime({ kind: "grant", ttlMs }))
  }

  keepLeaseAlive(lease: number): Effect.Effect<void, MetaStoreError> {
    return Effect.suspend(() =>
      this.#keepTime({ kind: "keep-alive", lease }) === 0
        ? Effect.fail(new MetaStoreError({ message: `lease ${lease} has ended` }))
        : Effect.void
    )
  }

  revokeLease(lease: number): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#state.apply({ kind: "revoke", lease })
      this.#leases.forget(lease)
    })
  }

  close(): void {
    this.#leases.close()
  }

  #keepTime(command: MetaCommand): number {
    const outcome = this.#state.apply(command)
    const lease = outcome.kind === "lease" ? outcome.lease : 0
    const ttlMs = this.#state.ttlMsOf(lease)
    if (ttlMs !== undefined) this.#leases.renew(lease, ttlMs)
    return lease
  }
}
