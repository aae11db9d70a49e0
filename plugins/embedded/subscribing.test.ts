/** What the program gets: order, bounds, handlers, iterators, retained messages. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { DENY } from "../../core/access/Access.ts"
import { SubscriptionError } from "./errors.ts"
import { faceOf, settled } from "./fakes.ts"
import type { ReceivedMessage } from "./ReceivedMessage.ts"

const textOf = (messages: ReadonlyArray<ReceivedMessage>): ReadonlyArray<string> => messages.map(({ text }) => text)

for (const shards of [1, 2, 3]) {
  test(`a handler gets what matches, in order, once for each of its subscriptions; ${shards} shard(s)`, async () => {
    const { face, rest } = faceOf({ shards })
    const seen: Array<string> = []
    const note = (message: ReceivedMessage): void => void seen.push(`${message.topicName}=${message.text}`)
    await settled(face.subscribe("a/#", note), rest)
    await settled(face.subscribe("a/b", note), rest)
    for (let number = 0; number < 50; number++) void face.publish("a/b", `${number}`)
    void face.publish("other", "x")
    await rest()
    const expected = Array.from({ length: 50 }, (_, number) => `a/b=${number}`)
    assert.equal(seen.length, 100)
    assert.deepEqual([...new Set(seen)], expected)
  })

  test(`retained messages come first and say so; ${shards} shard(s)`, async () => {
    const { face, rest } = faceOf({ shards })
    for (const name of ["r/1", "r/2", "r/3"]) await settled(face.publish(name, name, { retain: true }), rest)
    const seen: Array<readonly [string, boolean]> = []
    await settled(
      face.subscribe("r/+", ({ text, retain }) => seen.push([text, retain])),
      rest
    )
    const none: Array<string> = []
    await settled(
      face.subscribe("r/+", ({ text }) => none.push(text), { retained: false }),
      rest
    )
    await settled(face.publish("r/1", "live", { retain: true }), rest)
    assert.deepEqual(seen.slice(0, 3).toSorted(), [
      ["r/1", true],
      ["r/2", true],
      ["r/3", true]
    ])
    assert.deepEqual(seen.slice(3), [["live", false]])
    assert.deepEqual(none, ["live"])
  })

  test(`what is retained while a subscription is made comes once; ${shards} shard(s)`, async () => {
    const names = ["r/1", "r/2", "r/3", "r/4"]
    const { face, rest } = faceOf({ shards })
    for (const name of names) await settled(face.publish(name, "before", { retain: true }), rest)
    const seen: Array<string> = []
    const joined = face.subscribe("r/+", ({ topicName, text }) => seen.push(`${topicName} ${text}`))
    for (const name of names) void face.publish(name, "new", { retain: true })
    await settled(joined, rest)
    for (const name of names) {
      const states = seen.filter((each) => each.startsWith(name)).map((each) => each.slice(name.length + 1))
      assert.ok(["new", "before,new"].includes(states.join()), `${name}: ${states}`)
    }
  })
}

test("a message has bytes of its own: not the publisher's, nor another subscription's", async () => {
  const { face, rest } = faceOf()
  const messages: Array<ReceivedMessage> = []
  for (let count = 0; count < 2; count++)
    await settled(
      face.subscribe("a", (message) => messages.push(message)),
      rest
    )
  const payload = new TextEncoder().encode("kept")
  void face.publish("a", payload)
  payload.fill(0)
  await rest()
  messages[0]?.payload.fill(1)
  assert.equal(messages[1]?.text, "kept")
})

test("QoS is the lower one of both, the stored place is told, and so is its absence", async () => {
  const { face, rest } = faceOf()
  const seen: Array<readonly [number, number | undefined, number | undefined]> = []
  await settled(
    face.subscribe("#", ({ qos, partition, offset }) => seen.push([qos, partition, offset]), { qos: 1 }),
    rest
  )
  for (const qos of [0, 1, 2] as const) void face.publish("a/b", "", { qos })
  void face.publish("not plain", "", { qos: 2 })
  await rest()
  assert.deepEqual(seen, [
    [0, 0, 0],
    [1, 0, 1],
    [1, 0, 2],
    [1, undefined, undefined]
  ])
})

test("no code of the program runs within a publish; what it causes waits for the loop", async () => {
  const { face, simulation, rest } = faceOf()
  let depth = 0
  let count = 0
  let network = 0
  await settled(
    face.subscribe("ping", () => {
      assert.equal(depth, 0)
      depth += 1
      if (++count < 500) void face.publish("ping", "")
      depth -= 1
    }),
    rest
  )
  depth = 1
  void face.publish("ping", "")
  depth = 0
  // Events that come meanwhile get their turn between any two rounds.
  const tick = (): void => {
    network += 1
    if (count < 500) simulation.clock.immediate(tick)
  }
  simulation.clock.immediate(tick)
  await rest()
  assert.equal(count, 500)
  assert.ok(network > 400, String(network))
})

test("QoS 0 that finds the queue full is dropped and counted, the rest comes in order", async () => {
  const { face, counts, rest } = faceOf()
  const stream = await settled(face.messages("a", { queueMessagesMax: 10 }), rest)
  for (let number = 0; number < 25; number++) void face.publish("a", `${number}`, { qos: 0 })
  await rest()
  assert.deepEqual([stream.dropped, counts.dropped, stream.queued, counts.queued], [15, 15, 10, 10])
  assert.equal((await stream.next()).value?.text, "0")
  stream.unsubscribe()
  assert.equal(counts.queued, 0)
})

test("the bound of bytes holds, and one message always fits", async () => {
  const { face, rest } = faceOf()
  const stream = await settled(face.messages("a", { queueBytesMax: 1_000 }), rest)
  void face.publish("a", new Uint8Array(5_000), { qos: 0 })
  void face.publish("a", new Uint8Array(1), { qos: 0 })
  await rest()
  assert.deepEqual([stream.queued, stream.dropped], [1, 1])
})

test("a queue that is read never fills, however much passes through it, and keeps its order", async () => {
  const { face, rest } = faceOf()
  const stream = await settled(face.messages("a", { queueBytesMax: 3_000_000 }), rest)
  const got: Array<number> = []
  for (let round = 0; round < 5; round++) {
    for (let number = 0; number < 3_000; number++) void face.publish("a", `${round * 3_000 + number}`)
    await rest()
    // Some are left over, so that the queue is never empty and its head has to be given back.
    for (let left = 2_990; left > 0; left--) got.push(Number((await stream.next()).value?.text))
  }
  assert.deepEqual([stream.dropped, stream.isOver, stream.queued], [0, false, 50])
  assert.deepEqual(
    got,
    Array.from({ length: 5 * 2_990 }, (_, number) => number)
  )
})

test("QoS 1 that finds the queue full ends the subscription, after what waits and with an error", async () => {
  const { face, counts, shards, rest } = faceOf()
  const stream = await settled(face.messages("a", { queueMessagesMax: 3 }), rest)
  for (let number = 0; number < 5; number++) void face.publish("a", `${number}`)
  await rest()
  const got: Array<string> = []
  await assert.rejects(
    async () => {
      for await (const { text } of stream) got.push(text)
    },
    (error) =>
      error instanceof SubscriptionError && error.reason === "overflow" && /3 messages wait/.test(error.message)
  )
  assert.deepEqual(got, ["0", "1", "2"])
  assert.deepEqual(await stream.next(), { done: true, value: undefined })
  assert.deepEqual([counts.overflowed, counts.subscriptions, shards[0]?.router.subscriptionCount], [1, 0, 0])
})

test("asked to drop, it drops QoS 1 too and goes on", async () => {
  const { face, rest } = faceOf()
  const stream = await settled(face.messages("a", { queueMessagesMax: 3, overflow: "drop" }), rest)
  for (let number = 0; number < 5; number++) void face.publish("a", `${number}`)
  await rest()
  assert.equal(stream.dropped, 2)
  for (let number = 0; number < 3; number++) await stream.next()
  void face.publish("a", "more")
  await rest()
  assert.equal((await stream.next()).value?.text, "more")
})

test("a handler that overflows is told by onError, after what waited", async () => {
  const { face, rest } = faceOf()
  const seen: Array<string> = []
  await settled(
    face.subscribe("a", ({ text }) => seen.push(text), {
      queueMessagesMax: 2,
      onError: (error) => seen.push((error as SubscriptionError).reason)
    }),
    rest
  )
  for (let number = 0; number < 4; number++) void face.publish("a", `${number}`)
  await rest()
  assert.deepEqual(seen, ["0", "1", "overflow"])
})

test("a handler's promise is awaited before the next message", async () => {
  const { face, simulation, rest } = faceOf()
  const seen: Array<string> = []
  const slowly = async ({ text }: ReceivedMessage): Promise<void> => {
    seen.push(`begin ${text}`)
    await new Promise<void>((resolve) => void simulation.clock.after(5, resolve))
    seen.push(`end ${text}`)
  }
  await settled(face.subscribe("a", slowly), rest)
  for (const text of ["1", "2", "3"]) void face.publish("a", text)
  await rest()
  assert.deepEqual(seen, ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"])
})

test("what a handler throws or rejects with goes to onError, and the next message comes", async () => {
  const { face, rest } = faceOf()
  const seen: Array<string> = []
  const onError = (error: unknown): void => void seen.push((error as Error).message)
  const fail = ({ text }: ReceivedMessage): void => {
    seen.push(text)
    throw new Error(`thrown ${text}`)
  }
  await settled(face.subscribe("a", fail, { onError }), rest)
  await settled(
    face.subscribe("b", async (message) => fail(message), { onError }),
    rest
  )
  for (const text of ["1", "2"]) {
    void face.publish("a", text)
    void face.publish("b", text)
    await rest()
  }
  assert.deepEqual(seen.toSorted(), ["1", "1", "2", "2", "thrown 1", "thrown 1", "thrown 2", "thrown 2"])
})

test("without onError a handler's error is thrown from the loop", async () => {
  const { face, simulation, rest } = faceOf()
  const fail = (): void => {
    throw new Error("the program's own")
  }
  await settled(face.subscribe("a", fail), rest)
  void face.publish("a", "")
  assert.throws(() => simulation.run(), /the program's own/)
})

test("after unsubscribe nothing more comes, not even what waited", async () => {
  const { face, shards, rest } = faceOf()
  const seen: Array<string> = []
  const subscription = await settled(
    face.subscribe("a", ({ text }) => seen.push(text)),
    rest
  )
  void face.publish("a", "1")
  subscription.unsubscribe()
  subscription.unsubscribe()
  void face.publish("a", "2")
  await rest()
  assert.deepEqual(seen, [])
  assert.equal(shards[0]?.router.subscriptionCount, 0)
})

test("an iterator waits, hands each message to one next, and leaving its loop unsubscribes", async () => {
  const { face, shards, rest } = faceOf()
  const stream = await settled(face.messages("a"), rest)
  const both = [stream.next(), stream.next()]
  for (const text of ["1", "2", "3"]) void face.publish("a", text)
  await rest()
  assert.deepEqual(textOf((await Promise.all(both)).flatMap(({ value }) => value ?? [])), ["1", "2"])
  for await (const { text } of stream) {
    assert.equal(text, "3")
    break
  }
  assert.equal(shards[0]?.router.subscriptionCount, 0)
  assert.deepEqual(await stream.next(), { done: true, value: undefined })
})

test("a message that has expired in the queue is left out and counted", async () => {
  const { face, counts, simulation, rest } = faceOf()
  const stream = await settled(face.messages("a"), rest)
  void face.publish("a", "short", { expirySeconds: 1 })
  void face.publish("a", "long", { expirySeconds: 10 })
  await rest()
  await simulation.runAsync(simulation.clock.monotonicMs() + 2_000)
  assert.equal((await stream.next()).value?.text, "long")
  assert.deepEqual([counts.expired, counts.delivered], [1, 1])
})

const refused: ReadonlyArray<readonly [string, string]> = [
  ["", "topic-filter"],
  ["a/#/b", "topic-filter"],
  ["a+", "topic-filter"],
  ["$share/g/a", "shared"]
]
for (const [filter, reason] of refused) {
  test(`the filter "${filter}" is refused: ${reason}`, async () => {
    const { face } = faceOf()
    await assert.rejects(
      face.subscribe(filter, () => {}),
      (error) => error instanceof SubscriptionError && error.reason === reason && error.filter === filter
    )
    await assert.rejects(face.messages(filter), SubscriptionError)
  })
}

test("access rules hold for the program", async () => {
  const { face, rest } = faceOf({ access: { checkUnsafe: () => DENY } })
  await assert.rejects(face.messages("a"), { reason: "not-authorized" })
  await assert.rejects(settled(face.publish("a", ""), rest), { reason: "not-authorized" })
  assert.deepEqual(face.topics(), [])
})

test("the end gives a handler what waits, ends iterators after what waits, and takes nothing more", async () => {
  const { face, counts, shards, rest } = faceOf()
  const seen: Array<string> = []
  await settled(
    face.subscribe("a", ({ text }) => seen.push(text)),
    rest
  )
  const stream = await settled(face.messages("a"), rest)
  const idle = await settled(face.messages("b"), rest)
  const parked = idle.next()
  void face.publish("a", "last")
  let isSettled = false
  face.stopTaking(() => {
    isSettled = true
  })
  face.end()
  assert.ok(isSettled)
  assert.deepEqual(seen, ["last"])
  assert.equal((await stream.next()).value?.text, "last")
  assert.deepEqual(await stream.next(), { done: true, value: undefined })
  assert.deepEqual(await parked, { done: true, value: undefined })
  await assert.rejects(face.messages("a"), { reason: "closed" })
  assert.deepEqual([counts.subscriptions, shards[0]?.router.subscriptionCount], [0, 0])
})

test("a handler may close the broker: no handler is called within another, nor after the end", async () => {
  const { face, rest } = faceOf()
  const seen: Array<string> = []
  let depth = 0
  const closing = ({ text }: ReceivedMessage): void => {
    assert.equal(depth, 0)
    depth += 1
    seen.push(text)
    face.stopTaking(() => {})
    face.end()
    depth -= 1
  }
  await settled(face.subscribe("a", closing), rest)
  await settled(
    face.subscribe("a", ({ text }) => seen.push(`other ${text}`)),
    rest
  )
  for (const text of ["1", "2"]) void face.publish("a", text)
  await rest()
  assert.deepEqual(seen, ["1", "2", "other 1", "other 2"])
})

test("what waits for a handler that is busy at the end is forgotten", async () => {
  const { face, counts, simulation, rest } = faceOf()
  const seen: Array<string> = []
  const slowly = async ({ text }: ReceivedMessage): Promise<void> => {
    seen.push(text)
    await new Promise<void>((resolve) => void simulation.clock.after(500, resolve))
  }
  await settled(face.subscribe("a", slowly), rest)
  for (const text of ["1", "2"]) void face.publish("a", text)
  await rest()
  face.stopTaking(() => {})
  face.end()
  await simulation.runAsync(simulation.clock.monotonicMs() + 2_000)
  assert.deepEqual([seen, counts.queued], [["1"], 0])
})

test("a bound that is none is refused", async () => {
  const { face } = faceOf()
  for (const queueMessagesMax of [0, -1, 0.5, Number.NaN]) {
    await assert.rejects(face.messages("a", { queueMessagesMax }), RangeError)
  }
})

test("a subscription that is being made when the end comes is refused", async () => {
  const { face } = faceOf({ shards: 2 })
  const joining = face.messages("a/+")
  face.stopTaking(() => {})
  face.end()
  await assert.rejects(joining, { reason: "closed" })
})
