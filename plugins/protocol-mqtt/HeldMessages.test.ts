import assert from "node:assert/strict"
import { test } from "node:test"
import { Message } from "../../core/mod.ts"
import { HeldMessages } from "./HeldMessages.ts"

test("a shared message counts once however many keep it, and not at all when the last lets go", () => {
  const held = new HeldMessages(10_000)
  const message = new Message()
  message.payload = new Uint8Array(5_000)
  message.payloadEnd = 5_000
  held.hold(message)
  const one = held.used
  assert.ok(one >= 5_000)
  for (let index = 0; index < 9; index++) held.hold(message)
  assert.ok(held.used - one < 1_000, "nine more cost entries, not copies")
  assert.equal(held.isFull, false)
  for (let index = 0; index < 10; index++) held.release(message)
  assert.equal(held.used, 0)
})
