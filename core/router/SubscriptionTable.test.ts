import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Delivery, type Subscriber, Subscription } from "./Delivery.ts"
import { SubscriptionTable } from "./SubscriptionTable.ts"
import { topicFilter, topicName } from "./topic-arbitraries.ts"
import { matches } from "./topic-filter.ts"

const people: ReadonlyArray<Subscriber> = Array.from({ length: 5 }, () => ({ deliverUnsafe: () => {} }))
const nameOf = (who: Subscriber): string => `client-${people.indexOf(who)}`

const options = fc.record({
  qos: fc.nat({ max: 2 }),
  isLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  identifier: fc.constantFrom(0, 0, 1, 2, 268_435_455)
})
const step = fc.record({
  kind: fc.constantFrom("put", "put", "put", "remove", "removeAll"),
  who: fc.constantFrom(...people),
  filter: topicFilter,
  options
})

type Model = Array<Subscription>

/** What can be compared of deliveries: the same ones in another order are the same. */
function facts(deliveries: ReadonlyArray<Delivery>): ReadonlyArray<string> {
  return deliveries
    .map(({ subscriber, qos, noLocal, retainAsPublished, identifiers, parts }) => {
      const each = parts.map(({ qos, noLocal, identifier }) => [qos, noLocal, identifier]).sort()
      return JSON.stringify([nameOf(subscriber), qos, noLocal, retainAsPublished, [...identifiers].sort(), each])
    })
    .sort()
}

function sameAsModel(table: SubscriptionTable, model: Model, names: ReadonlyArray<string>): void {
  assert.equal(table.count, model.length)
  for (const who of people) {
    const own = model.filter(({ subscriber }) => subscriber === who)
    assert.deepEqual([...table.of(who)], own)
    assert.equal(table.countOf(who), own.length)
  }
  for (const name of names) {
    const matched = model.filter(({ filter }) => matches(filter, name))
    assert.deepEqual(facts(table.deliveriesOf(name)), facts(Delivery.gather(matched)), name)
  }
}

test("any changes leave what a list holds, and names lead to what the plain statement gathers", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.array(topicName, { maxLength: 6 }),
      (seed, steps, names) => {
        const table = new SubscriptionTable(seed)
        let model: Model = []
        for (const { kind, who, filter, options } of steps) {
          const { qos, isLocal, retainAsPublished, identifier } = options
          const onFilter = model.filter((each) => each.filter === filter)
          const known = onFilter.find(({ subscriber }) => subscriber === who)
          assert.equal(table.has(who, filter), known !== undefined)
          assert.deepEqual(table.get(who, filter), known)
          if (kind === "put") {
            const publisher = isLocal ? nameOf(who) : ""
            const made = new Subscription(who, filter, qos, publisher, retainAsPublished, identifier)
            assert.equal(table.put(made), onFilter.length === 0)
            if (known === undefined) model.push(made)
            else model[model.indexOf(known)] = made
          } else if (kind === "remove") {
            const told = known === undefined ? "none" : onFilter.length === 1 ? "last" : "one"
            assert.equal(table.remove(who, filter), told)
            model = model.filter((each) => each !== known)
          } else {
            const gone: Array<string> = []
            table.removeAll(who, (filter, wasLast) => {
              const before = model.filter((each) => each.filter === filter)
              assert.equal(wasLast, before.length === 1)
              model = model.filter((each) => each.filter !== filter || each.subscriber !== who)
              gone.push(filter)
            })
            assert.deepEqual(
              model.filter(({ subscriber }) => subscriber === who),
              []
            )
            assert.equal(new Set(gone).size, gone.length)
          }
        }
        sameAsModel(table, model, names)
        for (const who of people) table.removeAll(who, () => {})
        sameAsModel(table, [], names)
      }
    ),
    { numRuns: 500 }
  )
})

test("a text that is no filter leads to nobody's subscription", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", "+", "#"), maxLength: 6 })
  const [who] = people as readonly [Subscriber]
  fc.assert(
    fc.property(fc.uniqueArray(topicFilter, { maxLength: 12 }), fc.array(text, { maxLength: 30 }), (filters, texts) => {
      const table = new SubscriptionTable(5)
      for (const filter of filters) table.put(new Subscription(who, filter, 0, "", false, 0))
      for (const each of texts) {
        assert.equal(table.has(who, each), filters.includes(each), each)
        if (!filters.includes(each)) assert.equal(table.remove(who, each), "none", each)
      }
    }),
    { numRuns: 500, examples: [[["a/#"], ["ab#"]]] }
  )
})

test("filters of empty levels come and go at every place of a page", () => {
  const table = new SubscriptionTable(7)
  const [one, two] = people as readonly [Subscriber, Subscriber]
  table.put(new Subscription(one, "keep/#", 0, "", false, 0))
  for (let each = 0; each < 20_000; each++) {
    const victim = `v${each % 7}/+`
    table.put(new Subscription(two, "/+", 0, "", false, 0))
    table.put(new Subscription(one, victim, 0, "", false, 0))
    assert.equal(table.remove(two, "/+"), "last")
    assert.equal(table.deliveriesOf(`v${each % 7}/x`).length, 1)
    assert.equal(table.remove(one, victim), "last")
  }
  assert.equal(table.count, 1)
})

test("many subscribers on one filter come and go in any order", () => {
  const table = new SubscriptionTable(3)
  const many: ReadonlyArray<Subscriber> = Array.from({ length: 20_000 }, () => ({ deliverUnsafe: () => {} }))
  for (const who of many) table.put(new Subscription(who, "a/+", 1, "", false, 0))
  for (const [index, who] of many.entries()) {
    if (index % 3 > 0) assert.equal(table.remove(who, "a/+"), "one")
  }
  const left = many.filter((_, index) => index % 3 === 0)
  assert.deepEqual(
    table.deliveriesOf("a/b").map(({ subscriber }) => many.indexOf(subscriber)),
    left.map((who) => many.indexOf(who))
  )
  for (const [index, who] of left.entries()) {
    assert.equal(table.remove(who, "a/+"), index === left.length - 1 ? "last" : "one")
  }
  assert.equal(table.count, 0)
})

test("what goes while a list is read is not met, nor taken for somebody else's", () => {
  const table = new SubscriptionTable(3)
  const [one, two] = people as readonly [Subscriber, Subscriber]
  for (const filter of ["a", "b", "c"]) table.put(new Subscription(one, filter, 0, "", false, 0))
  const met: Array<string> = []
  for (const { filter } of table.of(one)) {
    met.push(filter)
    if (filter !== "a") continue
    table.remove(one, "b")
    // Takes the record of the one that went.
    table.put(new Subscription(two, "b", 0, "", false, 0))
  }
  assert.deepEqual(met, ["a", "c"])
})

test("subscriptions of a subscriber with the same options share one delivery, whatever their filters", () => {
  const table = new SubscriptionTable(3)
  const [who] = people as readonly [Subscriber]
  for (const filter of ["a", "b", "c"]) table.put(new Subscription(who, filter, filter === "c" ? 2 : 1, "", false, 0))
  assert.equal(table.deliveriesOf("a")[0], table.deliveriesOf("b")[0])
  assert.equal(table.deliveriesOf("c")[0]?.qos, 2)
})

test("a hundred thousand subscriptions cost at most 150 bytes each, and what comes and goes leaves nothing", () => {
  const COUNT = 100_000
  const shapes: ReadonlyArray<readonly [filter: (number: number) => string, subscribers: number, bytesMax: number]> = [
    [(number) => `devices/d${number}/cmd`, 1000, 115],
    [(number) => `devices/d${number}/+`, 1000, 150],
    [(number) => `site/${number % 100}/line/${number}/+`, 1000, 150],
    [(number) => `devices/d${number}/+/cmd`, 1000, 150],
    [() => "news/all", COUNT, 100]
  ]
  for (const [filterOf, subscribers, bytesMax] of shapes) {
    const table = new SubscriptionTable(7)
    const empty = table.sizeBytes
    const many: ReadonlyArray<Subscriber> = Array.from({ length: subscribers }, () => ({ deliverUnsafe: () => {} }))
    for (let number = 0; number < COUNT; number++) {
      table.put(new Subscription(many[number % subscribers] as Subscriber, filterOf(number), 1, "", false, 0))
    }
    const bytes = table.sizeBytes / COUNT
    assert.ok(bytes <= bytesMax, `${filterOf(1)}: ${bytes.toFixed(0)} bytes`)
    for (const who of many) table.removeAll(who, () => {})
    assert.ok(table.sizeBytes - empty < 1_000, `${filterOf(1)}: ${table.sizeBytes - empty} bytes stay`)
  }
})
