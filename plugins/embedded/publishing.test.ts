/** What the program publishes: what its promises promise, what is refused, bounds, the end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { NotingSubscriber, payloadOf, subscribe } from "../../core/ingress/fakes.ts"
import { REFUSED_QUOTA } from "../../core/ingress/Ingress.ts"
import { BACKLOG } from "../../core/log/Engines.ts"
import { LatePartition } from "../../core/log/fakes.ts"
import { PAYLOAD_BYTES_MAX, PublishError, REFUSED_BACKLOG, REFUSED_CLOSED, REFUSED_TOO_LARGE } from "./errors.ts"
import { type FaceFixture, faceOf, LATE, settled } from "./fakes.ts"
import { PENDING_BYTES_MAX, PENDING_MESSAGES_MAX } from "./PublishLine.ts"

/** How each promise has ended so far. */
function outcomes(promises: ReadonlyArray<Promise<void>>): Array<string> {
  const seen = promises.map(() => "waits")
  for (const [index, promise] of promises.entries()) {
    promise.then(
      () => {
        seen[index] = "done"
      },
      (error: PublishError) => {
        seen[index] = error.reason
      }
    )
  }
  return seen
}

/** The one partition that commits late. */
function latePartition({ shards }: FaceFixture): LatePartition {
  const found = shards.flatMap(({ engine }) => [...engine.partitions.values()])
  assert.ok(found.length === 1 && found[0] instanceof LatePartition)
  return found[0]
}

/** Makes the topic of "a" first: what is published before it is there waits for it, in narrower bounds than a line's. */
async function made(fixture: FaceFixture): Promise<void> {
  const first = fixture.face.publish("a", "first")
  await fixture.rest()
  latePartition(fixture).commit()
  await settled(first, fixture.rest)
}

for (const shards of [1, 2]) {
  test(`a promise settles when the record is committed, not before; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards, defaults: LATE })
    const { face, counts, rest } = fixture
    const seen = outcomes([face.publish("a", "1"), face.publish("a", "2"), face.publish("a", "0", { qos: 0 })])
    await rest()
    assert.deepEqual(seen.slice(0, 2), ["waits", "waits"])
    latePartition(fixture).commit()
    await rest()
    assert.deepEqual(seen, ["done", "done", "done"])
    assert.deepEqual([counts.published, counts.pending, counts.refused], [3, 0, 0])
  })

  test(`what is lost before its commit is rejected; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards, defaults: LATE })
    const { face, counts, rest } = fixture
    const seen = outcomes([face.publish("a", "1"), face.publish("a", "2")])
    await rest()
    latePartition(fixture).fail()
    await rest()
    assert.deepEqual(seen, ["storage", "storage"])
    assert.deepEqual([counts.pending, counts.refused], [0, 2])
  })

  test(`a flush settles when all before it are safe, and rejects once where one is lost; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards, defaults: LATE })
    const { face, rest } = fixture
    const publisher = face.publisher("a")
    const one = Uint8Array.of(1)
    publisher.publishUnsafe(one)
    const first = outcomes([publisher.flush()])
    await rest()
    assert.deepEqual(first, ["waits"])
    latePartition(fixture).commit()
    await rest()
    assert.deepEqual(first, ["done"])
    publisher.publishUnsafe(one)
    publisher.publishUnsafe(one)
    const second = outcomes([publisher.flush()])
    await rest()
    latePartition(fixture).fail()
    await rest()
    assert.deepEqual(second, ["storage"])
    assert.deepEqual(await settled(publisher.flush(), rest), undefined)
  })

  test(`one publisher's messages are stored in its order; ${shards} shard(s)`, async () => {
    const { face, rest } = faceOf({ shards })
    const publisher = face.publisher("a/b", { userProperties: { unit: "C" } })
    for (let number = 0; number < 300; number++) assert.ok(publisher.publishUnsafe(Uint8Array.of(number & 255)) >= 0)
    await settled(publisher.flush(), rest)
    const { records } = await settled(face.readStep("a.b", 0, 0), rest)
    assert.deepEqual(
      records.map(({ offset, payload }) => [offset, payload[0]]),
      Array.from({ length: 300 }, (_, number) => [number, number & 255])
    )
    assert.ok(
      records.every((record) => record.header("unit") === "C" && record.topicName === "a/b" && record.qos === 1)
    )
  })

  test(`the end waits for what is on its way; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards, defaults: LATE })
    const { face, rest } = fixture
    const seen = outcomes([face.publish("a", "1")])
    await rest()
    let isSettled = false
    face.stopTaking(() => {
      isSettled = true
    })
    assert.equal(isSettled, false)
    latePartition(fixture).commit()
    await rest()
    assert.ok(isSettled)
    face.end()
    await rest()
    assert.deepEqual(seen, ["done"])
  })
}

test("what never commits is rejected at the end: closed", async () => {
  const { face, rest } = faceOf({ defaults: LATE })
  const publisher = face.publisher("a")
  publisher.publishUnsafe(Uint8Array.of(1))
  const seen = outcomes([face.publish("a", "1"), publisher.flush()])
  await rest()
  face.stopTaking(() => assert.fail("it waits for ever"))
  face.end()
  await rest()
  assert.deepEqual(seen, ["closed", "closed"])
  assert.equal(publisher.publishUnsafe(Uint8Array.of(1)), REFUSED_CLOSED)
  await assert.rejects(settled(face.publish("a", "2"), rest), { reason: "closed" })
})

test("what is done at once does not overtake what waits for its commit", async () => {
  const fixture = faceOf({ defaults: LATE })
  const { face, rest } = fixture
  const order: Array<string> = []
  const note = (name: string, promise: Promise<void>): void => void promise.then(() => order.push(name))
  note("stored", face.publish("a", "1"))
  note("at once", face.publish("not plain", "2"))
  await rest()
  assert.deepEqual(order, [])
  latePartition(fixture).commit()
  await rest()
  assert.deepEqual(order, ["stored", "at once"])
})

test("who keeps a publisher's messages keeps each of them", () => {
  const { face, shards } = faceOf()
  const [shard] = shards
  assert.ok(shard !== undefined)
  const keeper = new NotingSubscriber()
  subscribe(shard, keeper, "a")
  const publisher = face.publisher("a")
  for (const text of ["1", "2"]) publisher.publishUnsafe(new TextEncoder().encode(text))
  assert.deepEqual(
    keeper.deliveries.map(({ message }) => `${message.offset} ${payloadOf(message)}`),
    ["0 1", "1 2"]
  )
})

test("a publisher's messages expire from when each was published", async () => {
  const { face, simulation, rest } = faceOf()
  const publisher = face.publisher("a", { expirySeconds: 1 })
  const stream = await settled(face.messages("a"), rest)
  publisher.publishUnsafe(Uint8Array.of(1))
  await simulation.runAsync(simulation.clock.monotonicMs() + 5_000)
  publisher.publishUnsafe(Uint8Array.of(2))
  await rest()
  const { value } = await stream.next()
  assert.deepEqual([value?.payload[0], value?.expirySeconds], [2, 1])
})

test("in mode memory a promise settles at the end of the turn, with what was published behind it", async () => {
  const { face, rest } = faceOf()
  const order: Array<string> = []
  await settled(
    face.subscribe("a", ({ text }) => order.push(`got ${text}`)),
    rest
  )
  const published = face.publish("a", "1").then(() => order.push("settled"))
  assert.deepEqual(order, [])
  await rest()
  await published
  assert.deepEqual(order, ["got 1", "settled"])
})

const names: ReadonlyArray<readonly [string, RegExp]> = [
  ["", /has no character/],
  ["a/+", /holds a wildcard/],
  ["#", /holds a wildcard/],
  ["\ud800", /well-formed/],
  ["a\0b", /U\+0000/],
  ["x".repeat(65_536), /65535 bytes/],
  ["a/".repeat(128), /levels/]
]
for (const [name, message] of names) {
  test(`the topic name "${name.slice(0, 9)}" is refused`, async () => {
    const { face, counts } = faceOf()
    const isIt = (error: unknown): boolean =>
      error instanceof PublishError && error.reason === "topic-name" && message.test(error.message)
    await assert.rejects(face.publish(name, ""), isIt)
    assert.throws(() => face.publisher(name), isIt)
    assert.equal(counts.published, 0)
  })
}

test("bad properties are refused before anything is published", async () => {
  const { face, counts } = faceOf()
  await assert.rejects(face.publish("a", "", { expirySeconds: -1 }), { reason: "properties" })
  assert.throws(() => face.publisher("a", { responseTopic: "#" }), { reason: "properties" })
  assert.equal(counts.published, 0)
})

test("what a program without types may pass is refused, not stored", async () => {
  const { face, counts } = faceOf()
  for (const payload of [5, undefined, null, [1], { length: 3 }]) {
    await assert.rejects(face.publish("a", payload as unknown as string), TypeError)
    assert.throws(() => face.publisher("a").publishUnsafe(payload as unknown as Uint8Array), TypeError)
  }
  await assert.rejects(face.publish("a", "", { qos: 3 as 2 }), { reason: "properties" })
  assert.equal(counts.published, 0)
})

test("an engine's refusal is the publisher's, with its reason", async () => {
  const { face, shards, rest } = faceOf()
  await settled(face.publish("a", "makes the topic"), rest)
  const [partition] = shards[0]?.engine.partitions.values() ?? []
  assert.ok(partition !== undefined)
  partition.refusal = BACKLOG
  // A gathered batch is handed over when it is full: the message that fills it meets the refusal.
  const publisher = face.publisher("a")
  const big = new Uint8Array(40_000)
  const seen = [publisher.publishUnsafe(big), publisher.publishUnsafe(big)]
  assert.deepEqual(seen, [REFUSED_QUOTA, REFUSED_QUOTA])
  partition.refusal = 0
  await settled(face.publish("a", "again"), rest)
})

test("a payload that no MQTT packet could carry is refused", async () => {
  const { face, rest } = faceOf()
  const huge = new Uint8Array(PAYLOAD_BYTES_MAX + 1)
  assert.equal(face.publisher("a").publishUnsafe(huge), REFUSED_TOO_LARGE)
  await assert.rejects(settled(face.publish("a", huge), rest), { reason: "too-large" })
})

test("too many messages without an acknowledgement are refused, and taken again after a flush", async () => {
  const fixture = faceOf({ defaults: LATE })
  const { face, rest } = fixture
  await made(fixture)
  const publisher = face.publisher("a")
  const one = Uint8Array.of(1)
  let taken = 0
  while (publisher.publishUnsafe(one) >= 0) taken += 1
  assert.deepEqual([taken, publisher.publishUnsafe(one)], [PENDING_MESSAGES_MAX, REFUSED_BACKLOG])
  // Another line has its own bound.
  const other = outcomes([face.publish("a", "other")])
  await rest()
  latePartition(fixture).commit()
  await settled(publisher.flush(), rest)
  assert.deepEqual(other, ["done"])
  assert.ok(publisher.publishUnsafe(one) >= 0)
})

test("too many bytes without an acknowledgement are refused, and taken again after a flush", async () => {
  const fixture = faceOf({ defaults: LATE })
  const { face, rest } = fixture
  await made(fixture)
  const publisher = face.publisher("a")
  const big = new Uint8Array(PENDING_BYTES_MAX / 4)
  const taken = [1, 2, 3, 4, 5].map(() => publisher.publishUnsafe(big) >= 0)
  assert.deepEqual(taken, [true, true, true, true, false])
  await rest()
  latePartition(fixture).commit()
  await settled(publisher.flush(), rest)
  for (let count = 0; count < 4; count++) assert.ok(publisher.publishUnsafe(big) >= 0)
})

test("a name that no topic can be made for is routed, and told to nobody as a failure", async () => {
  const { face, rest } = faceOf({ defaults: { autoCreateMqtt: "off" } })
  await settled(face.publish("a", "nobody wants it"), rest)
  assert.deepEqual(face.topics(), [])
})
