import assert from "node:assert/strict"
import { test } from "node:test"
import { publishBlock } from "./frames.ts"
import { RetainedSubscriber } from "./RetainedSubscriber.ts"

const SIZES = { messages: 4, payloadBytes: 16, topicNameOf: (index: number) => `bench/r/${index}` }

/** A PUBLISH of message `publisher` on `topicName`, flagged or not. */
function frame(publisher: number, topicName = `bench/r/${publisher}`, isRetained = true): Uint8Array {
  const { bytes } = publishBlock({ level: 4, topicName, qos: 0, payloadBytes: 16, publisher, count: 1 })
  bytes[0] = (bytes[0] as number) | (isRetained ? 1 : 0)
  return bytes
}

test("each message counts once, whatever comes between; the first and the last moment are known", () => {
  const client = new RetainedSubscriber(4, SIZES)
  for (const message of [3, 0, 2]) client.onData(frame(message))
  assert.deepEqual([client.delivered, client.duplicates, client.stray, client.corrupt], [3, 0, 0, 0])
  assert.ok(client.firstMs > 0 && client.lastMs >= client.firstMs)
})

test("twice, on another name, without the flag, of nobody, cut: each is told apart", () => {
  const client = new RetainedSubscriber(4, SIZES)
  client.onData(frame(1))
  client.onData(frame(1))
  assert.equal(client.duplicates, 1)
  client.onData(frame(2, "bench/r/3"))
  client.onData(frame(2, undefined, false))
  client.onData(frame(2).with(-1, 0))
  assert.equal(client.corrupt, 3)
  client.onData(frame(9))
  assert.equal(client.stray, 1)
  assert.equal(client.delivered, 1)
})
