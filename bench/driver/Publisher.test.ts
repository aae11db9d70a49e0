import assert from "node:assert/strict"
import { test } from "node:test"
import type { Socket } from "bun"
import { publishBlock, type QualityOfService, readU16, readU32 } from "./frames.ts"
import type { Peer } from "./Peer.ts"
import { Publisher } from "./Publisher.ts"
import { Run } from "./Run.ts"

const WINDOW = 100

/** A socket that takes at most `room` bytes and keeps what it took. */
class FakeSocket {
  readonly taken: number[] = []
  room = Number.POSITIVE_INFINITY
  setNoDelay(): void {}
  write(bytes: Uint8Array, offset: number, length: number): number {
    const count = Math.min(length, this.room)
    this.room -= count
    for (let index = 0; index < count; index++) this.taken.push(bytes[offset + index] ?? 0)
    return count
  }
}

function connected(qos: QualityOfService) {
  const run = new Run(1, 1)
  run.ledger.expect(0, 0)
  run.maySend = true
  const block = publishBlock({ level: 4, topicName: "t", qos, payloadBytes: 16, publisher: 0, count: WINDOW })
  const publisher = new Publisher(run, { level: 4, index: 0, qos, window: WINDOW, block })
  run.publishers[0] = publisher
  const socket = new FakeSocket()
  publisher.attach(socket as unknown as Socket<Peer>)
  let delivered = 0
  const deliver = (count: number): void => {
    for (const end = delivered + count; delivered < end; delivered++) run.ledger.record(0, 0, delivered)
    run.resumeTouched()
  }
  return { run, publisher, socket, block, deliver }
}

/** The acknowledgements `firstByte` for identifiers `from` to `to`. */
function acknowledgements(firstByte: number, from: number, to: number): Uint8Array {
  const bytes: number[] = []
  for (let identifier = from; identifier <= to; identifier++)
    bytes.push(firstByte, 2, identifier >> 8, identifier & 255)
  return Uint8Array.from(bytes)
}

test("no more than the window is ever open, and it fills by quarters", () => {
  const { publisher, deliver } = connected(0)
  publisher.pump()
  publisher.pump()
  assert.deepEqual([publisher.sent, publisher.open()], [WINDOW, WINDOW])
  deliver(24)
  assert.equal(publisher.sent, WINDOW)
  deliver(1)
  assert.deepEqual([publisher.sent, publisher.open()], [WINDOW + 25, WINDOW])
})

test("QoS 1: a message is open until it is delivered and acknowledged", () => {
  const { run, publisher, deliver } = connected(1)
  publisher.pump()
  deliver(WINDOW)
  assert.equal(publisher.sent, WINDOW)
  publisher.onData(acknowledgements(0x40, 1, 50))
  assert.deepEqual([publisher.sent, run.acknowledged], [WINDOW + 50, 50])
  publisher.onData(acknowledgements(0x40, 1, 1))
  assert.deepEqual([run.acknowledged, run.unexpectedAcknowledgements], [50, 1])
  assert.ok(!publisher.isSettled())
})

test("QoS 2: PUBREC is answered by PUBREL, and only PUBCOMP completes", () => {
  const { run, publisher, socket, deliver } = connected(2)
  publisher.pump()
  run.maySend = false
  deliver(WINDOW)
  socket.taken.length = 0
  publisher.onData(acknowledgements(0x70, 1, 1))
  assert.equal(run.unexpectedAcknowledgements, 1)
  publisher.onData(acknowledgements(0x50, 1, WINDOW))
  assert.deepEqual(socket.taken, [...acknowledgements(0x62, 1, WINDOW)])
  assert.equal(run.acknowledged, 0)
  publisher.onData(acknowledgements(0x70, 1, WINDOW))
  assert.equal(run.acknowledged, WINDOW)
  assert.ok(publisher.isSettled())
})

test("Packet Identifiers skip what is still open when they wrap around", () => {
  const { publisher, socket, block, deliver } = connected(1)
  const uses = new Uint8Array(65_536)
  publisher.pump()
  while (publisher.sent < 70_000) {
    const bytes = Uint8Array.from(socket.taken.splice(0))
    const frames: number[] = []
    for (let frame = 0; frame < bytes.length; frame += block.frameBytes) {
      const identifier = readU16(bytes, frame + block.identifierAt)
      uses[identifier] = (uses[identifier] ?? 0) + 1
      // Identifier 1 stays open for ever; all others are acknowledged as they come.
      if (identifier !== 1) frames.push(...acknowledgements(0x40, identifier, identifier))
    }
    deliver(bytes.length / block.frameBytes)
    publisher.onData(Uint8Array.from(frames))
  }
  assert.deepEqual([uses[0], uses[1], uses[2], uses[65_535]], [0, 1, 2, 1])
})

test("a full socket holds the bytes back unchanged until it drains", () => {
  const { publisher, socket, block, deliver } = connected(0)
  socket.room = block.frameBytes * 10 + 3
  publisher.pump()
  assert.ok(publisher.blocked)
  deliver(10)
  deliver(40)
  assert.equal(publisher.sent, WINDOW)
  socket.room = Number.POSITIVE_INFINITY
  publisher.onDrain()
  assert.ok(!publisher.blocked)
  assert.equal(publisher.sent, WINDOW + 50)
  const bytes = Uint8Array.from(socket.taken)
  for (let index = 0; index < publisher.sent; index++) {
    assert.equal(readU32(bytes, index * block.frameBytes + block.sequenceAt), index)
  }
})

test("a stall that is written off opens the window again", () => {
  const { publisher } = connected(0)
  publisher.pump()
  publisher.writeOff()
  assert.deepEqual([publisher.sent, publisher.open()], [2 * WINDOW, WINDOW])
})

test("the broker's Receive Maximum narrows the window above QoS 0", () => {
  for (const [qos, sent] of [
    [0, WINDOW],
    [1, 20]
  ] as const) {
    const { publisher } = connected(qos)
    publisher.receiveMaximum = 20
    publisher.respectReceiveMaximum()
    publisher.pump()
    assert.equal(publisher.sent, sent)
  }
})
