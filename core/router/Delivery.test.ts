import assert from "node:assert/strict"
import { test } from "node:test"
import { Delivery, NO_DELIVERIES, type Subscriber, Subscription } from "./Delivery.ts"

const subscriber = (): Subscriber => ({ deliverUnsafe: () => {} })

function subscriptionOf(who: Subscriber, facts: Partial<Subscription> = {}): Subscription {
  const { qos = 0, noLocal = "", retainAsPublished = false, identifier = 0 } = facts
  return new Subscription(who, "f", qos, noLocal, retainAsPublished, identifier)
}

test("nobody wants it: the one empty list", () => {
  assert.equal(Delivery.gather([]), NO_DELIVERIES)
})

test("a subscription alone is delivered by what was made with it, and nothing new is made", () => {
  const one = subscriptionOf(subscriber(), { qos: 1, retainAsPublished: true, identifier: 9 })
  const two = subscriptionOf(subscriber())
  assert.equal(Delivery.gather([one])[0], one.alone)
  assert.deepEqual(Delivery.gather([one, two]), [one.alone, two.alone])
  assert.deepEqual([one.alone.qos, one.alone.retainAsPublished, one.alone.identifiers], [1, true, [9]])
  assert.deepEqual([two.alone.identifiers, two.alone.parts], [[], []])
})

test("several of one subscriber are one copy: highest QoS, all identifiers once, retain as published if any says so", () => {
  const who = subscriber()
  const [delivery, ...rest] = Delivery.gather([
    subscriptionOf(who, { qos: 1, identifier: 5 }),
    subscriptionOf(who, { qos: 2, identifier: 3 }),
    subscriptionOf(who, { qos: 0, identifier: 5, retainAsPublished: true }),
    subscriptionOf(who, { qos: 0 })
  ])
  assert.deepEqual(rest, [])
  assert.ok(delivery !== undefined)
  assert.equal(delivery.subscriber, who)
  assert.deepEqual([delivery.qos, delivery.identifiers, delivery.retainAsPublished], [2, [5, 3], true])
  assert.deepEqual([delivery.noLocal, delivery.parts], ["", []])
})

test("subscribers come in the order in which they first matched", () => {
  const [a, b, c] = [subscriber(), subscriber(), subscriber()]
  assert.ok(a !== undefined && b !== undefined && c !== undefined)
  const matched = [b, a, b, c, a].map((who) => subscriptionOf(who))
  assert.deepEqual(
    Delivery.gather(matched).map((delivery) => [b, a, c].indexOf(delivery.subscriber as typeof a)),
    [0, 1, 2]
  )
})

test("with no local on some of several, the publisher itself gets what the others grant", () => {
  const who = subscriber()
  const local = subscriptionOf(who, { qos: 2, noLocal: "me", identifier: 1 })
  const plain = subscriptionOf(who, { qos: 1, identifier: 2 })
  const [delivery] = Delivery.gather([local, plain])
  assert.deepEqual([delivery?.noLocal, delivery?.qos, delivery?.identifiers], ["me", 2, [1, 2]])
  const rest = delivery?.forPublisher()
  assert.equal(rest, plain.alone)
  const third = subscriptionOf(who, { qos: 0, identifier: 7, retainAsPublished: true })
  const more = Delivery.gather([plain, local, third])[0]?.forPublisher()
  assert.deepEqual([more?.qos, more?.identifiers, more?.noLocal, more?.retainAsPublished], [1, [2, 7], "", true])
})

test("with no local on all of them the publisher gets nothing", () => {
  const who = subscriber()
  const both = [subscriptionOf(who, { noLocal: "me" }), subscriptionOf(who, { noLocal: "me", qos: 1 })]
  assert.equal(Delivery.gather(both)[0]?.forPublisher(), undefined)
  assert.equal(both[0]?.alone.forPublisher(), undefined)
})
