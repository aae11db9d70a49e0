/** Client quotas: which one a client has, how much it may take, how they are kept, and what their requests answer. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { makeAdminFixture } from "../handlers/testing.ts"
import { alterClientQuotas, describeClientQuotas } from "../wire/apis.ts"
import { ClientQuotas, encodeQuota } from "./ClientQuotas.ts"
import { entityOfKey, type QuotaEntity, quotaKey } from "./quota-entity.ts"
import { BUCKETS_MAX, RateBuckets, THROTTLE_MS_MAX, WINDOW_MS } from "./RateBuckets.ts"

describe("buckets", () => {
  test("what a window brings may be taken at once; what is too much is waited for at the rate", () => {
    const buckets = new RateBuckets()
    const rate = 1_000
    const window = (rate * WINDOW_MS) / 1_000
    equal(buckets.take("a", rate, window, 0), 0)
    equal(buckets.take("a", rate, 500, 0), 500)
    // Half of the wait is over; more was taken meanwhile.
    equal(buckets.take("a", rate, 500, 250), 750)
    equal(buckets.take("b", rate, window, 250), 0)
    // A long pause brings no more than the window.
    equal(buckets.take("a", rate, window, 1_000_000), 0)
    equal(buckets.take("a", rate, 1, 1_000_000), 1)
  })
  test("over a long time it is the rate, whatever the pieces", () => {
    const buckets = new RateBuckets()
    let nowMs = 0
    let taken = 0
    for (let round = 0; round < 2_000; round++) {
      const bytes = 1 + ((round * 7_919) % 5_000)
      taken += bytes
      nowMs += buckets.take("a", 10_000, bytes, nowMs)
    }
    const rate = (taken / nowMs) * 1_000
    ok(rate > 10_000 && rate < 10_300, String(rate))
  })
  test("no client waits for longer than it waits for an answer; buckets are bounded", () => {
    const buckets = new RateBuckets()
    equal(buckets.take("a", 1, 1_000_000, 0), THROTTLE_MS_MAX)
    for (let index = 0; index < BUCKETS_MAX + 10; index++) buckets.take(`client ${index}`, 1, 1, 0)
    equal(buckets.size, BUCKETS_MAX)
  })
})

describe("which quota a client has", () => {
  const entities: ReadonlyArray<QuotaEntity> = [
    { user: "u", clientId: "c" },
    { user: "u", clientId: null },
    { user: "u" },
    { user: null, clientId: "c" },
    { user: null, clientId: null },
    { user: null },
    { clientId: "c" },
    { clientId: null }
  ]
  test("the nearest of all that there are, in Kafka's order", () => {
    for (let first = 0; first < entities.length; first++) {
      const quotas = new ClientQuotas(1)
      // Each has another rate, by which it is told apart.
      for (let index = first; index < entities.length; index++) {
        const key = quotaKey(entities[index] ?? {})
        quotas.changed({ key, value: encodeQuota({ producer_byte_rate: 1_000 * (index + 1) }) })
      }
      const window = ((first + 1) * 1_000 * WINDOW_MS) / 1_000
      equal(quotas.produced("u", "c", window, 0), 0, `entity ${first}`)
      equal(quotas.produced("u", "c", (first + 1) * 1_000, 0), 1_000, `entity ${first}`)
      equal(quotas.fetched("u", "c", 1_000_000, 0), 0)
    }
  })
  test("who has not logged in is ANONYMOUS; others have no quota; a default is each client's own", () => {
    const quotas = new ClientQuotas(1)
    const value = encodeQuota({ producer_byte_rate: 1 })
    quotas.changed({ key: quotaKey({ user: "ANONYMOUS" }), value })
    equal(quotas.produced("other", "c", 1_000, 0), 0)
    ok(quotas.produced("", "c", 1_000, 0) > 0)
    quotas.changed({ key: quotaKey({ user: "ANONYMOUS" }), value: undefined })
    equal(quotas.produced("", "c", 1_000_000, 0), 0)
    quotas.changed({ key: quotaKey({ clientId: null }), value })
    equal(quotas.produced("", "one", 10, 0), 0)
    equal(quotas.produced("", "two", 10, 0), 0)
    ok(quotas.produced("", "one", 10, 0) > 0)
  })
  test("each shard gives out its share", () => {
    const quotas = new ClientQuotas(4)
    quotas.changed({ key: quotaKey({ clientId: "c" }), value: encodeQuota({ consumer_byte_rate: 4_000 }) })
    equal(quotas.fetched("", "c", (1_000 * WINDOW_MS) / 1_000, 0), 0)
    equal(quotas.fetched("", "c", 1_000, 0), 1_000)
  })
  test("keys stand for their entities, whatever the names", () => {
    for (const entity of [...entities, { user: "a/b=c %" }, { user: "ü", clientId: "" }, { clientId: "=" }]) {
      deepStrictEqual(entityOfKey(quotaKey(entity)), entity)
    }
  })
})

describe("DescribeClientQuotas and AlterClientQuotas", () => {
  type Part = readonly [type: string, name: string | null]
  const entityOf = (parts: ReadonlyArray<Part>) => parts.map(([entityType, entityName]) => ({ entityType, entityName }))
  const set = (parts: ReadonlyArray<Part>, key: string, value: number, remove = false) => ({
    entity: entityOf(parts),
    ops: [{ key, value, remove }]
  })
  const client: ReadonlyArray<Part> = [["client-id", "c"]]
  function make() {
    const fixture = makeAdminFixture()
    const alter = async (entries: ReadonlyArray<ReturnType<typeof set>>, version = 1, validateOnly = false) =>
      (await fixture.call(alterClientQuotas, version, { entries, validateOnly })).entries.map(
        ({ errorCode }) => errorCode
      )
    const describe = async (components: ReadonlyArray<readonly [string, number, string | null]>, strict = false) => {
      const asked = components.map(([entityType, matchType, match]) => ({ entityType, matchType, match }))
      const answer = await fixture.call(describeClientQuotas, 1, { components: asked, strict })
      if (answer.errorCode !== 0) return answer.errorCode
      return answer.entries?.map(({ entity, values }) => [
        entity.map((part) => `${part.entityType}=${part.entityName}`).join(),
        ...values.map(({ key, value }) => `${key}=${value}`)
      ])
    }
    return { fixture, alter, describe }
  }
  test("set, read, changed, removed; kept in the meta store", async () => {
    const { fixture, alter, describe } = make()
    for (const version of [0, 1]) {
      deepStrictEqual(await alter([set(client, "producer_byte_rate", 5)], version), [0])
      deepStrictEqual(await alter([set(client, "request_percentage", 0.5)], version), [0])
      deepStrictEqual(await describe([]), [["client-id=c", "producer_byte_rate=5", "request_percentage=0.5"]])
      equal([...fixture.joined.meta.entries.keys()].filter((key) => key.startsWith("kafka-quotas/")).length, 1)
      deepStrictEqual(await alter([set(client, "producer_byte_rate", 0, true)], version), [0])
      deepStrictEqual(await describe([]), [["client-id=c", "request_percentage=0.5"]])
      deepStrictEqual(await alter([set(client, "request_percentage", 0, true)], version), [0])
      deepStrictEqual(await describe([]), [])
      equal([...fixture.joined.meta.entries.keys()].filter((key) => key.startsWith("kafka-quotas/")).length, 0)
    }
    deepStrictEqual(await alter([set(client, "producer_byte_rate", 5)], 1, true), [0])
    deepStrictEqual(await describe([]), [])
  })
  test("what is refused", async () => {
    const { alter, describe } = make()
    const key = "producer_byte_rate"
    for (const [entry, expected] of [
      [set([["ip", "1.2.3.4"]], "connection_creation_rate", 5), 42],
      [set([], key, 5), 42],
      [set([["planet", "x"]], key, 5), 42],
      [set([["user", ""]], key, 5), 42],
      [set([["user", "x".repeat(1_025)]], key, 5), 42],
      [
        set(
          [
            ["user", "a"],
            ["user", "b"]
          ],
          key,
          5
        ),
        42
      ],
      [set(client, "no.such", 5), 42],
      [set(client, key, 0), 42],
      [set(client, key, -1), 42],
      [set(client, key, 1.5), 42],
      [set(client, key, Number.NaN), 42],
      [set(client, key, Number.POSITIVE_INFINITY), 42]
    ] as const) {
      deepStrictEqual(await alter([entry]), [expected], JSON.stringify(entry))
    }
    deepStrictEqual(await alter([set(client, key, 1), set(client, key, 2)]), [42, 42])
    deepStrictEqual(await describe([]), [])
    equal(await describe([["planet", 2, null]]), 35)
    equal(await describe([["user", 3, null]]), 42)
    equal(await describe([["user", 0, null]]), 42)
    equal(await describe([["user", 1, "a"]]), 42)
    equal(
      await describe([
        ["user", 2, null],
        ["user", 2, null]
      ]),
      42
    )
    equal(
      await describe([
        ["ip", 2, null],
        ["user", 2, null]
      ]),
      42
    )
    deepStrictEqual(await describe([["ip", 2, null]]), [])
  })
  test("filters: by name, the default, any; strictly those types alone", async () => {
    const { alter, describe } = make()
    const key = "consumer_byte_rate"
    const both: ReadonlyArray<Part> = [
      ["user", "u"],
      ["client-id", "c"]
    ]
    deepStrictEqual(
      await alter([set(client, key, 1), set([["client-id", null]], key, 2), set(both, key, 3)]),
      [0, 0, 0]
    )
    const names = async (...given: Parameters<typeof describe>) => {
      const found = await describe(...given)
      return Array.isArray(found) ? found.map(([name]) => name) : found
    }
    deepStrictEqual(await names([["client-id", 2, null]]), ["client-id=c", "client-id=null", "user=u,client-id=c"])
    deepStrictEqual(await names([["client-id", 2, null]], true), ["client-id=c", "client-id=null"])
    deepStrictEqual(await names([["client-id", 0, "c"]]), ["client-id=c", "user=u,client-id=c"])
    deepStrictEqual(await names([["client-id", 1, null]]), ["client-id=null"])
    deepStrictEqual(await names([["user", 2, null]], true), [])
    deepStrictEqual(await names([], true), [])
  })
})
