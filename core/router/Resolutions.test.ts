import assert from "node:assert/strict"
import { test } from "node:test"
import { Message } from "../ingress/Message.ts"
import { LinkPort } from "../link/LinkPort.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"
import { type Subscriber, Subscription } from "./Delivery.ts"
import { Resolutions } from "./Resolutions.ts"
import { ShardRouter } from "./Router.ts"

const encoder = new TextEncoder()
const subscriber = (): Subscriber => ({ deliverUnsafe: () => {} })

/** Names that nothing stores. */
const noTopics = {
  version: 0,
  onChange: () => {},
  directory: { homeOf: () => undefined },
  creatable: () => false,
  ownerOfName: () => 0
} as unknown as ShardTopics

function make(deliveriesMax: number): { resolutions: Resolutions; router: ShardRouter } {
  const turn = { deferWork: () => {}, deferFlush: () => {}, deferOutput: () => {} }
  const port = new LinkPort(0, { shards: 1, send: () => {} }, turn)
  const resolutions = new Resolutions(noTopics, 7, deliveriesMax)
  const router = new ShardRouter(port, 7, (name) => resolutions.invalidate(name))
  resolutions.join(router)
  return { resolutions, router }
}

function resolve(resolutions: Resolutions, name: string): number {
  const message = new Message()
  message.topic = encoder.encode(name)
  message.topicEnd = message.topic.length
  message.begin()
  return resolutions.resolveUnsafe(message)?.deliveries.length ?? -1
}

test("what many names with many subscribers hold is bounded, and every name still finds all of them", () => {
  const { resolutions, router } = make(100)
  for (let index = 0; index < 10; index++) {
    router.subscribeUnsafe(new Subscription(subscriber(), "a/#", 0, "", false, 0))
  }
  for (let index = 0; index < 1_000; index++) {
    assert.equal(resolve(resolutions, `a/${index % 37}`), 10)
    assert.ok(resolutions.deliveryCount <= 100)
  }
})

test("references are counted anew when subscribers come and go", () => {
  const { resolutions, router } = make(1_000)
  const made = Array.from({ length: 10 }, () => new Subscription(subscriber(), "a/#", 0, "", false, 0))
  for (const subscription of made) {
    router.subscribeUnsafe(subscription)
    resolve(resolutions, "a/b")
  }
  resolve(resolutions, "a/c")
  assert.equal(resolutions.deliveryCount, 20)
  for (const subscription of made.slice(3)) router.unsubscribeUnsafe(subscription)
  resolve(resolutions, "a/b")
  resolve(resolutions, "a/c")
  assert.equal(resolutions.deliveryCount, 6)
})

test("subscribers that have gone are not held by names that nobody publishes on any more", () => {
  const { resolutions, router } = make(1_000_000)
  for (const filter of ["a/#", "b/1"]) {
    const made = new Subscription(subscriber(), filter, 0, "", false, 0)
    router.subscribeUnsafe(made)
    for (let index = 0; index < 3_000; index++) resolve(resolutions, `${filter[0]}/${index}`)
    assert.equal(resolutions.deliveryCount, filter === "b/1" ? 1 : 3_000)
    router.unsubscribeUnsafe(made)
    for (let second = 0; second < 10; second++) resolutions.housekeep()
    assert.equal(resolutions.deliveryCount, 0)
  }
  router.subscribeUnsafe(new Subscription(subscriber(), "a/1", 0, "", false, 0))
  assert.deepEqual([resolve(resolutions, "a/1"), resolve(resolutions, "a/2")], [1, 0])
  resolutions.housekeep()
  assert.equal(resolutions.deliveryCount, 1, "what is up to date stays")
})

test("a name with more subscribers than the bound is delivered to, and not kept", () => {
  const { resolutions, router } = make(5)
  for (let index = 0; index < 10; index++) {
    router.subscribeUnsafe(new Subscription(subscriber(), "a", 0, "", false, 0))
  }
  for (let index = 0; index < 3; index++) assert.equal(resolve(resolutions, "a"), 10)
  assert.equal(resolutions.deliveryCount, 0)
})

test("names with wildcards or without a character are no names", () => {
  const { resolutions } = make(5)
  for (const name of ["a/+", "#", ""]) assert.equal(resolve(resolutions, name), -1)
})
