/**
 * What every meta store keeps: the clauses of `core/meta/MetaStore.ts`, one test each, and random transactions against a plain model.
 *
 * The maker brings the store together with its time: `pass` lets that many milliseconds go by and returns when everything that fell
 * due in them has happened and every watch has been told.
 */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import type { MetaChange, MetaFound, MetaStoreShape, MetaTransaction } from "../../core/mod.ts"

export interface MetaStoreUnderTest {
  readonly store: MetaStoreShape
  readonly pass: (delayMs: number) => Promise<void>
}

/** Makes an empty store for the life of `scope`; called once a test. */
export type MakeMetaStore = (scope: Scope.Scope) => Promise<MetaStoreUnderTest>

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value)

/** The store under test with the calls that the tests make most. */
class Subject {
  readonly store: MetaStoreShape
  readonly pass: (delayMs: number) => Promise<void>
  readonly scope: Scope.Scope

  constructor({ store, pass }: MetaStoreUnderTest, scope: Scope.Scope) {
    this.store = store
    this.pass = pass
    this.scope = scope
  }
  run<A>(effect: Effect.Effect<A, unknown>): Promise<A> {
    return Effect.runPromise(effect as Effect.Effect<A, never>)
  }
  /** Writes "key=value", or removes "key". */
  async write(...items: ReadonlyArray<string>): Promise<number> {
    const writes = items.map((item) => {
      const [key = "", value] = item.split("=")
      return { key, value: value === undefined ? undefined : bytes(value) }
    })
    const { committed, revision } = await this.run(this.store.transact({ compare: [], writes }))
    assert.equal(committed, true)
    return revision
  }
  async value(key: string): Promise<string | undefined> {
    return text((await this.run(this.store.get(key)))?.value)
  }
  async keys(prefix: string, cursor = "", limit = 1_000): Promise<ReadonlyArray<string>> {
    return (await this.run(this.store.range(prefix, cursor, limit))).map(({ key }) => key)
  }
  /** Watches; each change becomes "revision key=value" or "revision key". */
  async watch(prefix: string, scope: Scope.Scope = this.scope): Promise<Array<string>> {
    const seen: Array<string> = []
    await this.run(
      Scope.provide(
        this.store.watch(prefix, (change) => void seen.push(describeChange(change))),
        scope
      )
    )
    return seen
  }
}

function describeChange({ key, value, revision }: MetaChange): string {
  return value === undefined ? `${revision} ${key}` : `${revision} ${key}=${text(value)}`
}

/** Runs the whole suite under `name`. */
export function metaStoreContract(name: string, makeStore: MakeMetaStore): void {
  const contract = (title: string, body: (subject: Subject) => Promise<void>): void => {
    test(title, async () => {
      const scope = Scope.makeUnsafe()
      try {
        await body(new Subject(await makeStore(scope), scope))
      } finally {
        await Effect.runPromise(Scope.close(scope, Exit.void))
      }
    })
  }

  describe(`meta store contract: ${name}`, () => {
    contract("a key that was never written is not there", async (subject) => {
      assert.equal(await subject.run(subject.store.get("a")), undefined)
      assert.deepEqual(await subject.keys(""), [])
    })

    contract("a key has the version of the transaction that wrote it; revisions rise by one", async (subject) => {
      const first = await subject.write("a=1", "b=1")
      assert.equal(await subject.write("a=2"), first + 1)
      const a = await subject.run(subject.store.get("a"))
      const b = await subject.run(subject.store.get("b"))
      assert.deepEqual([a?.version, text(a?.value)], [first + 1, "2"])
      assert.deepEqual([b?.version, text(b?.value)], [first, "1"])
      assert.equal(await subject.write("a"), first + 2)
      assert.equal(await subject.value("a"), undefined)
      assert.equal(await subject.write("a=3"), first + 3)
    })

    contract("what changes nothing has no revision of its own", async (subject) => {
      const first = await subject.write("a=1")
      const nothing: ReadonlyArray<MetaTransaction> = [
        { compare: [], writes: [] },
        { compare: [{ key: "a", version: first }], writes: [] },
        { compare: [], writes: [{ key: "absent", value: undefined }] },
        { compare: [{ key: "a", version: first + 9 }], writes: [{ key: "a", value: bytes("no") }] }
      ]
      for (const transaction of nothing) {
        assert.equal((await subject.run(subject.store.transact(transaction))).revision, first)
      }
      assert.equal(await subject.write("a=2"), first + 1)
    })

    contract("writes apply only while every version holds; 0 = the key must not be there", async (subject) => {
      const revision = await subject.write("a=1", "b=1")
      const attempt = async (compare: MetaTransaction["compare"]): Promise<boolean> => {
        const writes = [
          { key: "a", value: bytes("new") },
          { key: "c", value: bytes("new") }
        ]
        const before = await subject.run(subject.store.range("", "", 100))
        const { committed } = await subject.run(subject.store.transact({ compare, writes }))
        if (!committed) assert.deepEqual(await subject.run(subject.store.range("", "", 100)), before)
        return committed
      }
      assert.equal(await attempt([{ key: "a", version: 0 }]), false)
      assert.equal(await attempt([{ key: "a", version: revision + 1 }]), false)
      assert.equal(await attempt([{ key: "c", version: revision }]), false)
      const stale = [
        { key: "a", version: revision },
        { key: "b", version: revision - 1 }
      ]
      assert.equal(await attempt(stale), false)
      const right = [
        { key: "a", version: revision },
        { key: "c", version: 0 }
      ]
      assert.equal(await attempt(right), true)
      assert.equal(await attempt(right), false)
      assert.deepEqual(await subject.keys(""), ["a", "b", "c"])
    })

    contract("of many who want to create one key, one does", async (subject) => {
      const attempts = Array.from({ length: 20 }, (_, index) =>
        subject.run(
          subject.store.transact({
            compare: [{ key: "leader", version: 0 }],
            writes: [{ key: "leader", value: bytes(String(index)) }]
          })
        )
      )
      const outcomes = await Promise.all(attempts)
      const won = outcomes.findIndex(({ committed }) => committed)
      assert.equal(outcomes.filter(({ committed }) => committed).length, 1)
      assert.equal(await subject.value("leader"), String(won))
    })

    contract("values are copied in and out", async (subject) => {
      const value = bytes("mine")
      await subject.run(subject.store.transact({ compare: [], writes: [{ key: "a", value }] }))
      value.fill(0)
      const seen: Array<MetaChange> = []
      await subject.run(
        Scope.provide(
          subject.store.watch("", (change) => void seen.push(change)),
          subject.scope
        )
      )
      const got = await subject.run(subject.store.get("a"))
      const [listed] = await subject.run(subject.store.range("a", "", 1))
      got?.value.fill(1)
      listed?.value.fill(2)
      seen[0]?.value?.fill(3)
      assert.equal(await subject.value("a"), "mine")
      await subject.write("a=next")
      await subject.pass(0)
      seen[1]?.value?.fill(4)
      assert.equal(await subject.value("a"), "next")
    })

    contract("a range gives keys with the prefix in order, and pages from after its cursor", async (subject) => {
      const keys = ["t/", "t/a", "t/a/b", "t/b", "t/ab", "t/aa", "t", "ta", "u/a", "T/a"]
      await subject.write(...keys.map((key) => `${key}=x`))
      const expected = keys.filter((key) => key.startsWith("t/")).sort()
      assert.deepEqual(await subject.keys("t/"), expected)
      for (const limit of [1, 2, 4]) {
        const seen: Array<string> = []
        for (let cursor = ""; ; ) {
          const page = await subject.keys("t/", cursor, limit)
          assert.ok(page.length <= limit)
          const last = page.at(-1)
          if (last === undefined) break
          seen.push(...page)
          cursor = last
        }
        assert.deepEqual(seen, expected)
      }
      assert.deepEqual(await subject.keys("t/", "", 0), [])
      assert.equal((await subject.keys("")).length, keys.length)
    })

    contract("a watch tells what is there, then every change under its prefix, once, in order", async (subject) => {
      const first = await subject.write("t/a=1", "t/b=1", "other=1")
      const seen = await subject.watch("t/")
      await subject.pass(0)
      assert.deepEqual([...seen].sort(), [`${first} t/a=1`, `${first} t/b=1`])
      seen.length = 0
      await subject.write("t/c=1", "t/a")
      await subject.write("other=2")
      await subject.write("t/c=2")
      await subject.write("t/absent")
      await subject.pass(0)
      assert.deepEqual(seen, [`${first + 1} t/c=1`, `${first + 1} t/a`, `${first + 3} t/c=2`])
    })

    contract("what is there may be told as bytes, once; what changes is told as ever", async (subject) => {
      const value = "x".repeat(40)
      const items = ["a/2", "a/1", "b/1", "a/3", "a", "c"].map((key) => `${key}=${key} ${value}`)
      const first = await subject.write(...items)
      const told: Array<string> = []
      const note = (change: MetaChange): void => void told.push(describeChange(change))
      const found: MetaFound = (key, around, start, end, revision) =>
        note({ key, value: around.slice(start, end), revision })
      await subject.run(Scope.provide(subject.store.watch("a/", note, found), subject.scope))
      await subject.pass(0)
      const expected = items.filter((item) => item.startsWith("a/")).map((item) => `${first} ${item}`)
      assert.deepEqual(told.toSorted(), expected.toSorted())
      told.length = 0
      await subject.write("a/2=new", "b/1=new")
      await subject.write("a/1")
      await subject.pass(0)
      assert.deepEqual(told, [`${first + 1} a/2=new`, `${first + 2} a/1`])
    })

    contract("a watch ends with its scope, and only that one", async (subject) => {
      const scope = Scope.makeUnsafe()
      const ended = await subject.watch("", scope)
      const going = await subject.watch("")
      await subject.write("a=1")
      await subject.pass(0)
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await subject.write("a=2")
      await subject.pass(0)
      assert.equal(ended.length, 1)
      assert.equal(going.length, 2)
    })

    contract(
      "a watcher that writes is told of its own write, and all watchers see revisions in order",
      async (subject) => {
        const { store, scope } = subject
        const seen: ReadonlyArray<Array<string>> = [[], [], []]
        const initial = await subject.write("a=0")
        for (const [index, list] of seen.entries()) {
          const changed = (change: MetaChange): void => {
            list.push(describeChange(change))
            if (index !== 1 || change.key !== "a") return
            const writes = [{ key: `b${text(change.value)}`, value: bytes("made") }]
            Effect.runFork(store.transact({ compare: [], writes }))
          }
          await subject.run(Scope.provide(store.watch("", changed), scope))
          await subject.pass(0)
        }
        for (const list of seen) list.length = 0
        await subject.write("a=1")
        await subject.pass(0)
        const made = `${initial + 3} b1=made`
        for (const list of seen) assert.deepEqual(list, [`${initial + 2} a=1`, made])
        assert.deepEqual(await subject.keys(""), ["a", "b0", "b1"])
      }
    )

    contract("a write by a watcher while it is told what is there reaches that watcher too", async (subject) => {
      const { store, scope } = subject
      await subject.write("a=0", "b=0")
      const seen: Array<string> = []
      const changed = (change: MetaChange): void => {
        seen.push(`${change.key}=${text(change.value)}`)
        if (seen.length !== 1) return
        Effect.runFork(store.transact({ compare: [], writes: [{ key: "c", value: bytes("late") }] }))
      }
      await subject.run(Scope.provide(store.watch("", changed), scope))
      await subject.pass(0)
      assert.deepEqual([...seen].sort(), ["a=0", "b=0", "c=late"])
    })

    contract("whoever is told of a change reads a state that has the whole of it", async (subject) => {
      const { store, scope } = subject
      const read: Array<ReadonlyArray<string>> = []
      const changed = (): void => {
        Effect.runFork(store.range("", "", 10).pipe(Effect.map((entries) => read.push(entries.map(({ key }) => key)))))
      }
      await subject.run(Scope.provide(store.watch("", changed), scope))
      await subject.write("a=1", "b=1", "c=1")
      await subject.pass(0)
      assert.deepEqual(read, [
        ["a", "b", "c"],
        ["a", "b", "c"],
        ["a", "b", "c"]
      ])
    })

    const grant = (subject: Subject, ttlMs: number): Promise<number> => subject.run(subject.store.grantLease(ttlMs))
    const writeUnder = async (subject: Subject, lease: number, key: string): Promise<boolean> => {
      const writes = [{ key, value: bytes("leased"), lease }]
      return (await subject.run(subject.store.transact({ compare: [], writes }))).committed
    }

    contract("keys of a lease vanish when it is not kept alive, all in one revision", async (subject) => {
      const lease = await grant(subject, 10_000)
      await writeUnder(subject, lease, "n/a")
      await writeUnder(subject, lease, "n/b")
      const revision = await subject.write("n/c=kept")
      const seen = await subject.watch("n/")
      await subject.pass(9_000)
      assert.equal((await subject.keys("n/")).length, 3)
      seen.length = 0
      await subject.pass(2_000)
      assert.deepEqual(await subject.keys("n/"), ["n/c"])
      assert.deepEqual([...seen].sort(), [`${revision + 1} n/a`, `${revision + 1} n/b`])
    })

    contract("a lease that is kept alive goes on, and ends when that stops", async (subject) => {
      const lease = await grant(subject, 10_000)
      await writeUnder(subject, lease, "n")
      for (let round = 0; round < 5; round++) {
        await subject.pass(8_000)
        await subject.run(subject.store.keepLeaseAlive(lease))
      }
      assert.equal(await subject.value("n"), "leased")
      await subject.pass(11_000)
      assert.equal(await subject.value("n"), undefined)
      assert.ok(Exit.isFailure(await Effect.runPromise(Effect.exit(subject.store.keepLeaseAlive(lease)))))
    })

    contract("leases end each in its own time, the short one first", async (subject) => {
      const long = await grant(subject, 60_000)
      const short = await grant(subject, 5_000)
      assert.notEqual(long, short)
      await writeUnder(subject, long, "long")
      await writeUnder(subject, short, "short")
      await subject.pass(6_000)
      assert.deepEqual(await subject.keys(""), ["long"])
      await subject.pass(55_000)
      assert.deepEqual(await subject.keys(""), [])
    })

    contract("a revoked lease takes its keys along at once; revoking it again is no error", async (subject) => {
      const lease = await grant(subject, 10_000)
      await writeUnder(subject, lease, "n")
      await subject.run(subject.store.revokeLease(lease))
      assert.equal(await subject.value("n"), undefined)
      await subject.run(subject.store.revokeLease(lease))
      assert.ok(Exit.isFailure(await Effect.runPromise(Effect.exit(subject.store.keepLeaseAlive(lease)))))
      await subject.pass(20_000)
    })

    contract("nothing is written under a lease that is not there", async (subject) => {
      const lease = await grant(subject, 1_000)
      await subject.pass(2_000)
      assert.equal(await writeUnder(subject, lease, "n"), false)
      assert.equal(await writeUnder(subject, lease + 1_000, "n"), false)
      assert.equal(await subject.value("n"), undefined)
    })

    contract("a key that was written again without the lease, or under another, stays", async (subject) => {
      const first = await grant(subject, 1_000)
      const second = await grant(subject, 10_000)
      await writeUnder(subject, first, "free")
      await writeUnder(subject, first, "moved")
      await subject.write("free=now")
      await writeUnder(subject, second, "moved")
      await subject.pass(2_000)
      assert.deepEqual(await subject.keys(""), ["free", "moved"])
      await subject.pass(10_000)
      assert.deepEqual(await subject.keys(""), ["free"])
    })

    test("random transactions agree with a plain model, and a watch rebuilds it", async () => {
      const key = fc.constantFrom("a", "a/b", "b", "é", "𝄞", "z")
      const transaction = fc.record({
        compare: fc.array(fc.record({ key, ahead: fc.integer({ min: -1, max: 1 }), absent: fc.boolean() }), {
          maxLength: 2
        }),
        writes: fc.uniqueArray(fc.record({ key, value: fc.option(fc.string({ maxLength: 3 })) }), {
          maxLength: 4,
          selector: (write) => write.key
        })
      })
      await fc.assert(
        fc.asyncProperty(fc.array(transaction, { maxLength: 25 }), fc.nat(20), async (transactions, watchAfter) => {
          const scope = Scope.makeUnsafe()
          const subject = new Subject(await makeStore(scope), scope)
          const model = new Map<string, { value: string; version: number }>()
          const watched = new Map<string, string>()
          let revision = (await subject.run(subject.store.transact({ compare: [], writes: [] }))).revision
          for (const [index, { compare, writes }] of transactions.entries()) {
            if (index === Math.min(watchAfter, transactions.length - 1)) {
              const changed = (change: MetaChange): void => {
                if (change.value === undefined) watched.delete(change.key)
                else watched.set(change.key, text(change.value) ?? "")
              }
              await subject.run(Scope.provide(subject.store.watch("", changed), scope))
            }
            const versions = compare.map(({ key, ahead, absent }) => {
              const held = model.get(key)?.version ?? 0
              return { key, version: absent ? 0 : Math.max(0, held + ahead) }
            })
            const expected = versions.every(({ key, version }) => (model.get(key)?.version ?? 0) === version)
            const effective = writes.filter(({ key, value }) => value !== null || model.has(key))
            if (expected && effective.length > 0) revision += 1
            if (expected) {
              for (const { key, value } of effective) {
                if (value === null) model.delete(key)
                else model.set(key, { value: value.toWellFormed(), version: revision })
              }
            }
            const encoded = writes.map(({ key, value }) => ({ key, value: value === null ? undefined : bytes(value) }))
            const outcome = await subject.run(subject.store.transact({ compare: versions, writes: encoded }))
            assert.deepEqual(outcome, { committed: expected, revision })
          }
          await subject.pass(0)
          const found = await subject.run(subject.store.range("", "", 100))
          const held = found.map((entry) => [entry.key, { value: text(entry.value), version: entry.version }] as const)
          assert.deepEqual(new Map(held), model)
          if (transactions.length > 0) {
            assert.deepEqual(watched, new Map([...model].map(([key, { value }]) => [key, value])))
          }
          await Effect.runPromise(Scope.close(scope, Exit.void))
        }),
        { numRuns: 100 }
      )
    })
  })
}
