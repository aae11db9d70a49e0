import assert from "node:assert/strict"
import { test } from "node:test"
import type { Socket } from "bun"
import { readU16, readU32, targetBlock } from "./frames.ts"
import type { Peer } from "./Peer.ts"
import { TimedPublisher } from "./TimedPublisher.ts"

const NAMES = ["bench/a", "bench/b", "bench/c"]

interface Sent {
  readonly identifier: number
  readonly publisher: number
  readonly sequence: number
}

/** A publisher over a socket that takes everything, or nothing. */
function rig(window: number) {
  const sent: Sent[] = []
  const acknowledged: number[] = []
  const targets = NAMES.map((topicName, publisher) => ({ topicName, publisher }))
  const block = targetBlock({ level: 4, targets, qos: 1, payloadBytes: 16 })
  const publisher = new TimedPublisher(4, block, window, (message) => acknowledged.push(message))
  const state = { takes: true }
  const socket = {
    setNoDelay: () => {},
    write: (bytes: Uint8Array, start: number, length: number) => {
      if (!state.takes) return 0
      for (let frame = start; frame < start + length; frame += block.frameBytes) {
        const identifier = readU16(bytes, frame + block.identifierAt)
        const sequence = readU32(bytes, frame + block.sequenceAt)
        sent.push({ identifier, sequence, publisher: readU32(bytes, frame + block.sequenceAt - 4) })
      }
      return length
    }
  }
  publisher.attach(socket as unknown as Socket<Peer>)
  const ack = (identifier: number): void => publisher.onData(Uint8Array.of(0x40, 2, identifier >> 8, identifier & 255))
  return { publisher, sent, acknowledged, state, ack }
}

test("messages go round the targets, each target with sequence numbers of its own", () => {
  const { publisher, sent } = rig(100)
  publisher.send(2)
  publisher.send(5)
  assert.deepEqual(
    sent.map(({ publisher: target, sequence }) => [target, sequence]),
    [
      [0, 0],
      [1, 0],
      [2, 0],
      [0, 1],
      [1, 1],
      [2, 1],
      [0, 2]
    ]
  )
})

test("a PUBACK names its message, in whatever order it comes", () => {
  const { publisher, sent, acknowledged, ack } = rig(100)
  publisher.send(3)
  for (const index of [2, 0, 1]) ack(sent[index]?.identifier ?? 0)
  assert.deepEqual(acknowledged, [2, 0, 1])
  assert.deepEqual(publisher.openMessages(), [])
})

test("no more than the window is open", () => {
  const { publisher, sent, ack } = rig(4)
  publisher.send(10)
  assert.equal(sent.length, 4)
  ack(sent[0]?.identifier ?? 0)
  publisher.send(10)
  assert.equal(sent.length, 5)
  assert.deepEqual(publisher.openMessages().toSorted(), [1, 2, 3, 4])
})

test("a PUBACK that comes twice, and one for nothing, are unexpected and not booked", () => {
  const { publisher, sent, acknowledged, ack } = rig(4)
  publisher.send(1)
  ack(sent[0]?.identifier ?? 0)
  ack(sent[0]?.identifier ?? 0)
  ack(999)
  assert.equal(publisher.unexpected, 2)
  assert.deepEqual(acknowledged, [0])
})

test("a PUBACK with an error is refused, not acknowledged in time", () => {
  const { publisher, sent, acknowledged } = rig(4)
  publisher.send(1)
  const identifier = sent[0]?.identifier ?? 0
  publisher.onData(Uint8Array.of(0x40, 3, identifier >> 8, identifier & 255, 0x97))
  assert.equal(publisher.refused, 1)
  assert.deepEqual(acknowledged, [])
})

test("a Packet Identifier that is open is not taken again when they wrap around", () => {
  const { publisher, sent, ack } = rig(10)
  publisher.send(1)
  const held = sent[0]?.identifier ?? 0
  for (let count = 0; count < 65_540; count++) {
    publisher.send(1)
    const { identifier } = sent[sent.length - 1] ?? { identifier: 0 }
    assert.notEqual(identifier, held)
    assert.notEqual(identifier, 0)
    ack(identifier)
  }
  assert.deepEqual(publisher.openMessages(), [0])
})

test("a full socket takes nothing more until it drains", () => {
  const { publisher, sent, state } = rig(10)
  state.takes = false
  publisher.send(2)
  publisher.send(2)
  assert.equal(publisher.sent, 2)
  state.takes = true
  publisher.onDrain()
  assert.equal(sent.length, 2)
  publisher.send(1)
  assert.equal(sent.length, 3)
})
