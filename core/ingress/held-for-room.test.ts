/** Messages that storage has no room for when their wait is over: they wait on, each name's in its order. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { TicketStream } from "../journal/TicketStream.ts"
import { messageOf, payloadOf } from "./fakes.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { ACCEPTED, ACCEPTED_PENDING, HELD_UP } from "./Ingress.ts"

test("where there is room for some of what waits the rest goes on waiting, in its order", () => {
  const soon: Array<() => void> = []
  const sequenced: Array<string> = []
  let room = 0
  const held = new HeldMessages({
    mustWait: () => false,
    sequence: (message) => {
      assert.ok(message.canWait)
      if (room === 0) return HELD_UP
      room -= 1
      sequenced.push(payloadOf(message))
      return ACCEPTED
    },
    pending: { pendingStream: new TicketStream(), pendingTicket: 0 },
    later: () => {},
    soon: (task) => void soon.push(task)
  })
  for (const payload of ["1", "2", "3"]) held.hold(messageOf("a/b", payload, { qos: 1 }), "a/b")
  const { stream } = held
  for (let count = 0; count < 3; count++) held.awaitRoom()
  assert.equal(soon.length, 1)
  for (const [more, done] of [
    [0, 0],
    [2, 2],
    [0, 2],
    [1, 3]
  ] as const) {
    room = more
    soon.shift()?.()
    assert.deepEqual([sequenced.length, stream.committed, held.count], [done, done, 3 - done])
    assert.equal(soon.length, done === 3 ? 0 : 1)
  }
  assert.deepEqual(sequenced, ["1", "2", "3"])
})

test("what finds no room behind one of its name that waits anew waits behind that, and none is lost", () => {
  const soon: Array<() => void> = []
  let mustWait = true
  let isOpening = true
  const stored: Array<string> = []
  const pending = { pendingStream: new TicketStream(), pendingTicket: 0 }
  const held: HeldMessages = new HeldMessages({
    mustWait: () => mustWait,
    // As an ingress whose log is opened anew, and whose journal has no room: those with a token are told of that first.
    sequence: (message) => {
      if (isOpening && message.token !== "") return HELD_UP
      if (isOpening || held.holds(0, "a")) {
        const outcome = held.hold(message, "a")
        pending.pendingStream = held.stream
        pending.pendingTicket = held.ticket
        return outcome
      }
      stored.push(payloadOf(message))
      return ACCEPTED
    },
    pending,
    later: (task) => task(),
    soon: (task) => void soon.push(task)
  })
  const ended: Array<string> = []
  for (const [payload, token] of [
    ["1", ""],
    ["2", "0/7/2"],
    ["3", ""]
  ] as const) {
    const message = messageOf("a", payload, { qos: 1 })
    message.token = token
    assert.equal(held.hold(message, "a"), ACCEPTED_PENDING)
    const { stream, ticket } = held
    stream.whenCommitted(ticket, () => ended.push(`${payload} ${stream.takeOutcome(ticket)}`))
  }
  mustWait = false
  held.review()
  assert.deepEqual([held.count, stored, ended], [3, [], []])
  isOpening = false
  for (const task of soon.splice(0)) task()
  held.review()
  assert.deepEqual([held.count, stored, ended], [0, ["1", "2", "3"], ["1 0", "2 0", "3 0"]])
})
