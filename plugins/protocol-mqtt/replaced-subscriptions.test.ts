/**
 * A durable session's subscription is replaced by one with other options: what was published before is delivered as was asked then, once,
 * also where it was still on its way from another shard, and also to the next connection [MQTT-3.8.4-3, MQTT-3.8.4-4].
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { encode, type Filter } from "../../tests/support/mqtt-packets.ts"
import { TestClient } from "./fakes.ts"
import type { Settings } from "./Settings.ts"
import { TestNode } from "./testing.ts"

const KEPT = { properties: [["sessionExpiry", 4_294_967_295]] } as const
const FILTER = "t/+"

interface Story {
  readonly node: TestNode
  readonly subscriber: TestClient
  readonly publisher: TestClient
}

/** Names that the subscriber's shard owns, and the other one. */
const PLACES = ["its own shard", "another shard"] as const

async function begin(settings: Partial<Settings>): Promise<Story> {
  const node = new TestNode(settings)
  await node.start()
  const subscriber = new TestClient(node, "subscriber", 5)
  const publisher = new TestClient(node, "publisher-1", 5)
  for (const client of [subscriber, publisher]) client.connect(KEPT)
  const story = { node, subscriber, publisher }
  await answered(story)
  return story
}

/** Both clients answer whatever comes until nothing does. */
async function answered({ node, subscriber, publisher }: Story): Promise<void> {
  for (let round = 0; round < 20; round++) {
    await node.settle()
    subscriber.answer()
    publisher.answer()
  }
}

function subscribe({ subscriber }: Story, id: number, filter: Omit<Filter, "filter">): void {
  subscriber.send(encode.subscribe(5, id, [{ filter: FILTER, retainHandling: 2, ...filter } as Filter]))
}

/** A name whose messages lie in the queue log of that shard. */
async function nameAt(story: Story, place: (typeof PLACES)[number]): Promise<string> {
  const { node, subscriber, publisher } = story
  const own = node.of(subscriber.id)
  for (let number = 0; ; number++) {
    const before = own.queueLog.endOffset
    publisher.publish(`t/${number}`, "seen", 1)
    await answered(story)
    if (own.queueLog.endOffset > before === (place === PLACES[0])) return `t/${number}`
  }
}

const payloads = ({ subscriber }: Story): ReadonlyArray<string> =>
  subscriber.got.map(({ payload }) => payload).filter((payload) => payload !== "seen")

for (const place of PLACES) {
  test(`what was its own and not wanted does not come when it is wanted from then on; ${place}`, async () => {
    const story = await begin({})
    subscribe(story, 1, { qos: 1 })
    await answered(story)
    const name = await nameAt(story, place)
    subscribe(story, 2, { qos: 1, noLocal: true })
    await answered(story)
    story.subscriber.publish(name, "mine", 1)
    await answered(story)
    subscribe(story, 3, { qos: 1, noLocal: false })
    await answered(story)
    // Long enough for the session to leave memory: what is read then is judged by what its rows say.
    story.subscriber.cut()
    await story.node.advance(2_000)
    assert.equal(story.node.of(story.subscriber.id).broker.sessions.isResident(0, story.subscriber.id), false)
    story.subscriber.connect(KEPT)
    await answered(story)
    assert.deepEqual(payloads(story), [])
    story.subscriber.publish(name, "mine, wanted", 1)
    await answered(story)
    assert.deepEqual(payloads(story), ["mine, wanted"])
  })

  test(`what is on its way when its subscription is replaced comes, though its client is slow; ${place}`, async () => {
    const story = await begin({ inflight_max: 1 })
    subscribe(story, 1, { qos: 1 })
    await answered(story)
    const name = await nameAt(story, place)
    story.publisher.publish(name, "in flight", 1)
    await story.node.settle()
    story.publisher.publish(name, "waits", 1)
    await story.node.settle()
    story.publisher.publish(name, "on its way", 1)
    subscribe(story, 2, { qos: 2 })
    await answered(story)
    assert.deepEqual(payloads(story), ["in flight", "waits", "on its way"])
  })

  test(`what is on its way when its subscription is replaced comes, though its connection ends; ${place}`, async () => {
    for (const settles of [false, true]) {
      const story = await begin({})
      subscribe(story, 1, { qos: 1 })
      await answered(story)
      const name = await nameAt(story, place)
      story.publisher.publish(name, "on its way", 1)
      subscribe(story, 2, { qos: 2 })
      story.subscriber.cut()
      if (settles) await story.node.settle()
      story.subscriber.connect(KEPT)
      await answered(story)
      assert.deepEqual(payloads(story), ["on its way"])
    }
  })
}
