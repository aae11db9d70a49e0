/** What plugins make known, by name: engines, stores, listeners. Each entry lives as long as the scope that registered it. */
import { Effect, type Scope } from "effect"
import { InvariantViolation } from "../assert.ts"
import type { StorageAccount } from "../budget/StorageAccount.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import type { Engine, Engines } from "../log/Engines.ts"
import type { MetaStoreShape } from "../meta/MetaStore.ts"
import type { StoredPart } from "../plugin/Inspection.ts"
import type { KeyValueStores, ListenerFact, Listeners, MetaStores, Store } from "../plugin/Plugin.ts"

interface Registry<Value> {
  register(name: string, value: Value): Effect.Effect<void, never, Scope.Scope>
  readonly get: (name: string) => Value | undefined
  readonly names: () => ReadonlyArray<string>
}

function makeRegistry<Value>(kind: string): Registry<Value> {
  const values = new Map<string, Value>()
  return {
    register: (name, value) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          if (values.has(name)) throw new InvariantViolation(`a ${kind} has a name of its own: "${name}"`)
          values.set(name, value)
        }),
        () => Effect.sync(() => values.delete(name))
      ),
    get: (name) => values.get(name),
    names: () => [...values.keys()]
  }
}

export const makeEngines = (): typeof Engines.Service => makeRegistry<Engine>("engine")
export const makeKeyValueStores = () =>
  makeRegistry<KeyValueStoreShape>("key-value store") satisfies typeof KeyValueStores.Service
export const makeMetaStores = () => makeRegistry<MetaStoreShape>("meta store") satisfies typeof MetaStores.Service

export interface StoreFacts {
  readonly number: number
  readonly directory: string | undefined
  readonly bytesMax: number
  readonly topicName: (id: string) => string | undefined
}

export interface MadeStore {
  readonly store: typeof Store.Service
  readonly parts: () => ReadonlyArray<StoredPart>
  readonly accounts: () => ReadonlyArray<StorageAccount>
}

/** A store as its shard's plugins see it, and what they have told of their files in it, in the order in which that came. */
export function makeStore(facts: StoreFacts): MadeStore {
  const parts = new Set<StoredPart>()
  const accounts = new Set<StorageAccount>()
  const store: typeof Store.Service = {
    ...facts,
    keeps: (part) =>
      Effect.acquireRelease(
        Effect.sync(() => parts.add(part)),
        () => Effect.sync(() => parts.delete(part))
      ).pipe(Effect.asVoid),
    account: (account) =>
      Effect.acquireRelease(
        Effect.sync(() => accounts.add(account)),
        () => Effect.sync(() => accounts.delete(account))
      ).pipe(Effect.asVoid)
  }
  return { store, parts: () => [...parts], accounts: () => [...accounts] }
}

export function makeListeners(): typeof Listeners.Service {
  const facts: Array<ListenerFact> = []
  return {
    announce: (fact) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          facts.push(fact)
        }),
        () => Effect.sync(() => facts.splice(facts.indexOf(fact), 1))
      ),
    all: () => {
      const seen = new Set<string>()
      return facts.filter((fact) => {
        const key = `${fact.plugin}.${fact.listener}=${fact.address}`
        if (seen.has(key)) return false
        seen.add(key)
        return true
      })
    }
  }
}
