/** What a connection owes: every byte once and in order, whatever the socket takes; what is borrowed is kept in time; few calls and copies. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { FakeSocket } from "./fake-platform.ts"
import { OutputQueue } from "./OutputQueue.ts"

const sentBy = (socket: FakeSocket): string => Buffer.concat(socket.sent).toString("hex")
const filled = (size: number, value: number): Uint8Array => new Uint8Array(size).fill(value)

test("any pieces and any takes: each byte once, in order", () => {
  const pieces = fc.array(fc.record({ size: fc.oneof(fc.nat(20), fc.nat(90_000)), isBorrowed: fc.boolean() }), {
    maxLength: 12
  })
  const takes = fc.array(fc.oneof(fc.nat(5), fc.nat(200_000)), { maxLength: 20 })
  fc.assert(
    fc.property(pieces, takes, (given, taken) => {
      const queue = new OutputQueue()
      const socket = new FakeSocket()
      socket.takes = [...taken]
      const borrowed = filled(90_002, 0)
      const expected: Array<Uint8Array> = []
      let total = 0
      given.forEach(({ size, isBorrowed }, index) => {
        const bytes = isBorrowed ? borrowed : filled(size + 2, index + 1)
        expected.push(bytes.slice(1, 1 + size))
        if (isBorrowed) queue.pushBorrowed(bytes, 1, 1 + size)
        else queue.push(bytes, 1, 1 + size)
      })
      for (let round = 0; round < 40; round++) {
        total += queue.write(socket)
        // What was borrowed is somebody else's now.
        borrowed.fill(255)
      }
      equal(queue.isEmpty, true)
      const all = Buffer.concat(expected)
      equal(total, all.length)
      equal(sentBy(socket), all.toString("hex"))
    }),
    { numRuns: 60 }
  )
})

test("a large piece goes alone and uncopied, small neighbours together", () => {
  const queue = new OutputQueue()
  const socket = new FakeSocket()
  const written: Array<readonly [number, ArrayBufferLike]> = []
  const { write } = socket
  socket.write = (bytes, start, end) => {
    written.push([end - start, bytes.buffer])
    return write.call(socket, bytes, start, end)
  }
  const large = filled(100_000, 1)
  for (let index = 0; index < 50; index++) queue.push(filled(100, 2), 0, 100)
  queue.push(large, 0, large.length)
  queue.push(filled(10, 3), 0, 10)
  equal(queue.write(socket), 105_010)
  deepStrictEqual(
    written.map(([size]) => size),
    [5_000, 100_000, 10]
  )
  ok(written[1]?.[1] === large.buffer)
})

test("a socket that is gone takes nothing more", () => {
  const queue = new OutputQueue()
  const socket = new FakeSocket()
  socket.terminated = true
  queue.push(filled(10, 1), 0, 10)
  equal(queue.write(socket), -1)
  queue.clear()
  equal(queue.isEmpty, true)
})
