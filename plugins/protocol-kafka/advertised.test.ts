/** Broker ids, advertised addresses, options, and the table of refusals. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import * as v from "valibot"
import { BATCH_CRC, RECORD_LENGTH, refusals } from "../../core/mod.ts"
import { advertisedOf, brokerIdOf } from "./advertised.ts"
import { options } from "./options.ts"
import { errorOfRefusal } from "./refusal-codes.ts"
import { errorName } from "./wire/error-codes.ts"

test("broker ids", () => {
  for (const [nodeId, expected] of [
    ["node-1", 1],
    ["7", 7],
    ["edge0", 0],
    ["a-2147483647", 2_147_483_647]
  ] as const) {
    equal(brokerIdOf(nodeId), expected)
  }
  for (const nodeId of ["node", "a-2147483648", "1-b", ""]) {
    const id = brokerIdOf(nodeId)
    ok(Number.isInteger(id) && id >= 0 && id <= 0x7fff_ffff, nodeId)
    equal(brokerIdOf(nodeId), id)
  }
  ok(brokerIdOf("east") !== brokerIdOf("west"))
})

test("advertised addresses", () => {
  for (const [listening, asked, expected] of [
    ["127.0.0.1:9092", undefined, { host: "127.0.0.1", port: 9092 }],
    ["0.0.0.0:9092", "kafka.example:19092", { host: "kafka.example", port: 19_092 }],
    ["0.0.0.0:40123", "kafka.example:0", { host: "kafka.example", port: 40_123 }],
    ["[::1]:9092", undefined, { host: "::1", port: 9092 }],
    ["0.0.0.0:9092", undefined, undefined],
    ["[::]:9092", undefined, undefined],
    ["127.0.0.1:9092", "0.0.0.0:9092", undefined]
  ] as const) {
    deepStrictEqual(advertisedOf(listening, asked), expected, `${listening} ${asked}`)
  }
})

describe("options", () => {
  test("none: the defaults", () => {
    const settings = v.parse(options, {})
    deepStrictEqual(settings.tcp, ["127.0.0.1:9092"])
    equal(settings.advertised, undefined)
    equal(settings.message_size_max, 1_048_588)
  })
  test("a single address is a list of one", () => {
    deepStrictEqual(v.parse(options, { tcp: "127.0.0.1:0" }).tcp, ["127.0.0.1:0"])
  })
  for (const bad of [
    { tcp: "nowhere" },
    { tcp: ["127.0.0.1:99999999"] },
    { tcp: ["a:1", "b:2"], advertised: ["c:3"] },
    { request_size_max: 0 },
    { message_size_max: 1.5 },
    { unknown: 1 }
  ]) {
    test(`refused: ${JSON.stringify(bad)}`, () => equal(v.safeParse(options, bad).success, false))
  }
})

test("every refusal of batch and records has an error code that is not the unknown one", () => {
  for (const refusal of refusals.keys()) ok(errorOfRefusal(refusal) > 0, String(refusal))
  equal(errorName(errorOfRefusal(BATCH_CRC)), "CORRUPT_MESSAGE")
  equal(errorName(errorOfRefusal(RECORD_LENGTH)), "INVALID_RECORD")
  equal(errorOfRefusal(0), 0)
  equal(errorOfRefusal(-50), -1)
})
