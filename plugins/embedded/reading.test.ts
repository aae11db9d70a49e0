/** Reading the log by offset: where it begins, where it ends, what it waits for, what it refuses. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { RecordBatchBuilder } from "../../core/log/RecordBatchBuilder.ts"
import { ATTRIBUTES_POSITION } from "../../core/log/record-batch.ts"
import { ReadError } from "./errors.ts"
import { type FaceFixture, faceOf, LATE, settled } from "./fakes.ts"
import type { ReadOptions } from "./RecordReader.ts"

/** Publishes "0", "1", ... on the name `a/b`, whose topic is a.b. */
async function publish({ face, rest }: FaceFixture, from: number, to: number): Promise<void> {
  const publisher = face.publisher("a/b")
  for (let number = from; number < to; number++) publisher.publishUnsafe(new TextEncoder().encode(String(number)))
  await settled(publisher.flush(), rest)
}

/** Reads into `seen` until it ends. */
async function readInto(fixture: FaceFixture, seen: Array<string>, options?: ReadOptions): Promise<void> {
  for await (const { offset, text } of fixture.face.read("a.b", 0, options)) seen.push(`${offset}=${text}`)
}

for (const shards of [1, 2, 3]) {
  test(`from the beginning, an offset, the end; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards })
    await publish(fixture, 0, 600)
    const all = Array.from({ length: 600 }, (_, number) => `${number}=${number}`)
    const cases: ReadonlyArray<readonly [ReadOptions, ReadonlyArray<string>]> = [
      [{}, all],
      [{ from: "beginning", bytesMax: 1 }, all],
      [{ from: 599 }, all.slice(599)],
      [{ from: 137 }, all.slice(137)],
      [{ from: 600 }, []],
      [{ from: "end" }, []]
    ]
    for (const [options, expected] of cases) {
      const seen: Array<string> = []
      await settled(readInto(fixture, seen, options), fixture.rest)
      assert.deepEqual(seen, expected)
    }
  })

  test(`without follow it ends at what was the end when it began; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards })
    await publish(fixture, 0, 3)
    const seen: Array<string> = []
    const reading = (async () => {
      for await (const { text } of fixture.face.read("a.b")) {
        seen.push(text)
        void fixture.face.publish("a/b", "more")
        if (seen.length > 10) break
      }
    })()
    await settled(reading, fixture.rest)
    assert.deepEqual(seen, ["0", "1", "2"])
  })

  test(`with follow it goes on with what comes, until its signal; ${shards} shard(s)`, async () => {
    const fixture = faceOf({ shards })
    await publish(fixture, 0, 2)
    const seen: Array<string> = []
    const abort = new AbortController()
    const reading = readInto(fixture, seen, { follow: true, signal: abort.signal })
    await fixture.rest()
    assert.deepEqual(seen, ["0=0", "1=1"])
    await publish(fixture, 2, 4)
    await fixture.rest()
    assert.deepEqual(seen, ["0=0", "1=1", "2=2", "3=3"])
    abort.abort()
    await settled(reading, fixture.rest)
  })
}

test("a reader that waits ends with the broker", async () => {
  const fixture = faceOf()
  await publish(fixture, 0, 1)
  const reading = readInto(fixture, [], { follow: true })
  await fixture.rest()
  fixture.face.stopTaking(() => {})
  fixture.face.end()
  await settled(reading, fixture.rest)
  await assert.rejects(fixture.face.readStep("a.b", 0, 0), { reason: "closed" })
})

test("nothing that is not committed is read", async () => {
  const fixture = faceOf({ defaults: LATE })
  void fixture.face.publish("a/b", "not yet").catch(() => {})
  await fixture.rest()
  const step = await settled(fixture.face.readStep("a.b", 0, 0), fixture.rest)
  assert.deepEqual([step.records.length, step.highWatermark, step.nextOffset], [0, 0, 0])
})

test("a record tells what its message was, and null where a retained message was cleared", async () => {
  const { face, rest } = faceOf()
  const correlationData = Uint8Array.of(1, 2)
  const options = { qos: 2, retain: true, contentType: "text/plain", responseTopic: "r", correlationData } as const
  await settled(face.publish("a/b", "x", options), rest)
  await settled(face.publish("a/b", "", { qos: 0, retain: true }), rest)
  const { records } = await settled(face.readStep("a.b", 0, 0), rest)
  const [first, second] = records
  assert.ok(first !== undefined && second !== undefined)
  assert.deepEqual(
    [first.qos, first.retain, first.contentType, first.responseTopic, first.correlationData, first.isMessage],
    [2, true, "text/plain", "r", correlationData, true]
  )
  assert.deepEqual([second.qos, second.retain, second.value, second.payload.length], [0, true, undefined, 0])
  assert.equal(new TextDecoder().decode(first.key), "a/b")
})

test("records of a Kafka client are read as they are; a transaction's marker is not", async () => {
  const { face, shards, rest } = faceOf()
  await settled(face.publish("a/b", "mine"), rest)
  const shard = shards[0]
  const topic = shard?.topics.find(0, "a.b")
  assert.ok(shard !== undefined && topic !== undefined)
  const log = shard.topics.logUnsafe(topic, 0)
  assert.ok(log !== undefined)
  const batch = (attributes: number, value: string): Uint8Array => {
    const builder = new RecordBatchBuilder()
    const bytes = new TextEncoder().encode(value)
    builder.append(5, undefined, 0, 0, bytes, 0, bytes.length)
    const made = builder.bytes.slice(0, builder.finish())
    made[ATTRIBUTES_POSITION] = attributes >> 8
    made[ATTRIBUTES_POSITION + 1] = attributes
    return made
  }
  log.highWatermark()
  const [partition] = shard.engine.partitions.values()
  for (const [index, made] of [batch(0, "produced"), batch(0x30, "marker"), batch(0, "after")].entries()) {
    made[7] = index + 1
    partition?.batches.push(made)
  }
  if (partition !== undefined) partition.logEndOffset = 4
  const step = await settled(face.readStep("a.b", 0, 0), rest)
  assert.deepEqual(
    step.records.map(({ offset, text, isMessage, topicName, key }) => [
      offset,
      text,
      isMessage,
      topicName,
      key === undefined
    ]),
    [
      [0, "mine", true, "a/b", false],
      [1, "produced", false, undefined, true],
      [3, "after", false, undefined, true]
    ]
  )
  assert.equal(step.nextOffset, 4)
})

test("damaged bytes are an error, not a throw from somewhere", async () => {
  const { face, shards, rest } = faceOf()
  await settled(face.publish("a/b", "whole"), rest)
  await settled(face.readStep("a.b", 0, 0), rest)
  const [partition] = shards[0]?.engine.partitions.values() ?? []
  partition?.batches[0]?.fill(255, 61)
  await assert.rejects(settled(face.readStep("a.b", 0, 0), rest), { reason: "unreadable" })
})

const refused: ReadonlyArray<readonly [string, number, number, ReadError["reason"]]> = [
  ["none", 0, 0, "unknown-topic"],
  ["a.b", 1, 0, "unknown-topic"],
  ["a.b", -1, 0, "unknown-topic"],
  ["a.b", 0, 3, "out-of-range"],
  ["a.b", 0, -1, "out-of-range"],
  ["a.b", 0, Number.NaN, "out-of-range"]
]
for (const [topic, partition, offset, reason] of refused) {
  test(`${topic}, partition ${partition}, offset ${offset}: ${reason}`, async () => {
    const fixture = faceOf()
    await publish(fixture, 0, 2)
    const isIt = (error: unknown): boolean => error instanceof ReadError && error.reason === reason
    await assert.rejects(settled(fixture.face.readStep(topic, partition, offset), fixture.rest), isIt)
    await assert.rejects(settled(fixture.face.read(topic, partition, { from: offset }).next(), fixture.rest), isIt)
  })
}

test("topics are told with what they are made of", async () => {
  const fixture = faceOf()
  await publish(fixture, 0, 1)
  assert.deepEqual(fixture.face.topics(), [
    { name: "a.b", partitions: 1, engine: "memory", mode: "memory", filter: undefined }
  ])
})
