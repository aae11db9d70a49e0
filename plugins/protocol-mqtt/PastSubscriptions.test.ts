import assert from "node:assert/strict"
import { test } from "node:test"
import { messageOf } from "../../core/ingress/fakes.ts"
import { matches, type QueueLogsShape, type QueueReceiver, Subscription } from "../../core/mod.ts"
import { PastSubscriptions } from "./PastSubscriptions.ts"

const nobody = { deliverUnsafe: (): void => {} }

/** A subscription that was taken off, with what the two logs answer when the test lets them. */
function make() {
  const past = new PastSubscriptions()
  const asked: Array<QueueReceiver<number>> = []
  const queueLogs = { count: 2, end: (_log: number, receiver: QueueReceiver<number>) => void asked.push(receiver) }
  let known = 0
  const subscription = new Subscription(nobody, "t/+", 1, "", false, 0)
  past.add(subscription, [5, 0], queueLogs as unknown as QueueLogsShape, () => void (known += 1))
  const isFor = (queue: number, queueOffset: number, name = "t/a"): boolean => {
    const message = messageOf(name, "x", { qos: 1 })
    message.queue = queue
    message.queueOffset = queueOffset
    const matched: Array<Subscription> = []
    past.matchedInto(message, matches, matched)
    return matched.length > 0
  }
  return { past, asked, isFor, known: () => known }
}

test("what lay between the subscription and its end is for it, and no other name's", () => {
  const { asked, isFor, past, known } = make()
  asked[0]?.received(8)
  assert.deepEqual([past.isKnown, known()], [false, 0])
  asked[1]?.received(0)
  assert.deepEqual([past.isKnown, known()], [true, 1])
  const wanted = [4, 5, 7, 8].map((offset) => isFor(0, offset))
  assert.deepEqual(wanted, [false, true, true, false])
  assert.deepEqual([isFor(1, 0), isFor(0, 6, "u/a")], [false, false])
  past.clear()
  assert.ok(past.isEmpty && !isFor(0, 6))
})

test("what comes live without it is not for it, though the log of another shard says that it was there before", () => {
  const { past, asked, isFor } = make()
  past.cameLive(0, 6)
  past.cameLive(0, 7)
  asked[0]?.received(9)
  assert.deepEqual([isFor(0, 5), isFor(0, 6), isFor(0, 7)], [true, false, false])
})

test("a shard that does not answer has nothing for it", () => {
  const { asked, isFor } = make()
  asked[1]?.failed(new Error("gone"))
  assert.ok(!isFor(1, 0))
})
