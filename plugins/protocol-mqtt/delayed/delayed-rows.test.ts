import assert from "node:assert/strict"
import { test } from "node:test"
import { Message } from "../../../core/mod.ts"
import { decodeDelayed, decodeTime, dueKey, encodeDelayed, encodeTime, messageKey } from "./delayed-rows.ts"

const encoder = new TextEncoder()
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

function message(): Message {
  const made = new Message()
  made.tenant = 3
  made.topic = encoder.encode("a/b")
  made.topicEnd = 3
  made.payload = encoder.encode("xy")
  made.payloadEnd = 2
  made.qos = 2
  made.retain = true
  made.publisher = "c"
  made.begin()
  return made
}

test("keys order by time, then by number", () => {
  assert.equal(hex(messageKey(258)), "776d0000000000000102")
  assert.equal(hex(dueKey(1_800_000_000_000, 258)), "777400000" + "1a3185c50000000000000000102")
  const keys = [dueKey(1, 9), dueKey(2, 1), dueKey(2, 2), dueKey(2 ** 40, 0)].map(hex)
  assert.deepEqual(keys, keys.toSorted())
})

test("a message is read as it was written, byte for byte as docs/formats/state.md has it", () => {
  const row = {
    dueAtMs: 1_800_000_000_000,
    acceptedAtMs: 1_700_000_000_000,
    messageExpiry: 60,
    user: "u",
    peerAddress: "::1",
    message: message()
  }
  const bytes = encodeDelayed(row)
  assert.equal(
    hex(bytes.subarray(0, 41)),
    "01" + "000001a3185c5000" + "0000018bcfe56800" + "000000000000003d" + "0000000175" + "000000033a3a31" + "00000003"
  )
  const read = decodeDelayed(bytes)
  assert.deepEqual(
    [read.dueAtMs, read.acceptedAtMs, read.messageExpiry, read.user, read.peerAddress],
    [row.dueAtMs, row.acceptedAtMs, 60, "u", "::1"]
  )
  const { name, tenant, qos, retain, publisher, payloadStart, payloadEnd, payload } = read.message
  assert.deepEqual([name, tenant, qos, retain, publisher], ["a/b", 3, 2, true, "c"])
  assert.equal(new TextDecoder().decode(payload.subarray(payloadStart, payloadEnd)), "xy")
  assert.equal(decodeDelayed(encodeDelayed({ ...row, messageExpiry: -1 })).messageExpiry, -1)
  assert.equal(hex(encodeTime({ tenant: 3, isPostponed: true })), "010000000301")
  for (const isPostponed of [false, true]) {
    assert.deepEqual(decodeTime(encodeTime({ tenant: 3, isPostponed })), { tenant: 3, isPostponed })
  }
})

test("a row of another format is refused", () => {
  const bytes = encodeTime({ tenant: 1, isPostponed: false })
  bytes[0] = 2
  assert.throws(() => decodeTime(bytes), /format 2/)
})
