import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type ProtocolLevel, publishBlock, writeU32 } from "./frames.ts"
import { Run } from "./Run.ts"
import { Subscriber } from "./Subscriber.ts"

const COUNT = 40

function stream(level: ProtocolLevel, payloadBytes: number): Uint8Array {
  const options = { level, topicName: "bench/p0", qos: 0, payloadBytes, publisher: 0, count: COUNT } as const
  const block = publishBlock(options)
  for (let index = 0; index < COUNT; index++) writeU32(block.bytes, index * block.frameBytes + block.sequenceAt, index)
  return block.bytes
}

function listening(level: ProtocolLevel, payloadBytes: number): { readonly run: Run; readonly subscriber: Subscriber } {
  const run = new Run(1, 1)
  run.ledger.expect(0, 0)
  return { run, subscriber: new Subscriber(run, { level, index: 0, payloadBytes }) }
}

test("however the bytes are cut, every message is booked once and in order", () =>
  fc.assert(
    fc.property(
      fc.constantFrom<ProtocolLevel>(4, 5),
      fc.constantFrom(9, 64, 300, 20_000),
      fc.array(fc.nat(), { maxLength: 60 }),
      (level, payloadBytes, cuts) => {
        const bytes = stream(level, payloadBytes)
        const { run, subscriber } = listening(level, payloadBytes)
        const positions = [0, ...cuts.map((cut) => cut % bytes.length), bytes.length].sort((one, other) => one - other)
        for (let index = 1; index < positions.length; index++) {
          subscriber.onData(bytes.slice(positions[index - 1], positions[index]))
        }
        assert.equal(run.ledger.delivered, COUNT)
        assert.equal(run.ledger.duplicates + run.ledger.reordered + run.ledger.stray + run.corrupt, 0)
        assert.equal(subscriber.malformed, 0)
      }
    ),
    { numRuns: 200 }
  ))

test("byte by byte", () => {
  const bytes = stream(5, 200)
  const { run, subscriber } = listening(5, 200)
  for (const byte of bytes) subscriber.onData(Uint8Array.of(byte))
  assert.equal(run.ledger.delivered, COUNT)
})

test("a frame of two bytes that is cut takes nothing from the frame behind it", () => {
  const { run, subscriber } = listening(4, 64)
  // PINGRESP: not expected here, so it is counted as malformed.
  subscriber.onData(Uint8Array.of(0xd0))
  subscriber.onData(Uint8Array.from([0, ...stream(4, 64)]))
  assert.deepEqual([subscriber.malformed, run.ledger.delivered], [1, COUNT])
})

test("a payload of another length, or without its marker, is corrupt and not delivered", () => {
  const bytes = stream(4, 64)
  const other = listening(4, 65)
  other.subscriber.onData(bytes)
  assert.deepEqual([other.run.corrupt, other.run.ledger.delivered], [COUNT, 0])
  const { run, subscriber } = listening(4, 64)
  bytes[bytes.length - 1] = 0
  subscriber.onData(bytes)
  assert.deepEqual([run.corrupt, run.ledger.delivered], [1, COUNT - 1])
})

test("a Remaining Length of five bytes breaks the connection and does not loop", () => {
  const { subscriber } = listening(4, 64)
  subscriber.onData(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0xff, 0x01))
  subscriber.onData(Uint8Array.of(1))
  assert.ok(subscriber.isBroken)
  assert.equal(subscriber.malformed, 1)
})

test("the Receive Maximum is found among the properties of a CONNACK", () => {
  const { subscriber } = listening(5, 64)
  // Session Expiry Interval 5, Assigned Client Identifier "a", a user property, Receive Maximum 20.
  const properties = [0x11, 0, 0, 0, 5, 0x12, 0, 1, 97, 0x26, 0, 1, 98, 0, 1, 99, 0x21, 0, 20]
  subscriber.onData(Uint8Array.of(0x20, properties.length + 3, 0, 0, properties.length, ...properties))
  assert.equal(subscriber.connectCode, 0)
  assert.equal(subscriber.receiveMaximum, 20)
})
