/** The table of error codes against facts that clients rely on. */
import { equal } from "node:assert"
import { test } from "node:test"
import { ERROR_CODES, ErrorCode, errorMessage, errorName, isRetriable } from "./error-codes.ts"

test("codes stand in order without gaps, names are unique", () => {
  ERROR_CODES.forEach(([code], index) => {
    equal(code, index - 1)
  })
  equal(new Set(ERROR_CODES.map(([, name]) => name)).size, ERROR_CODES.length)
})

test("known codes", () => {
  for (const [name, code, retriable] of [
    ["UNKNOWN_TOPIC_OR_PARTITION", 3, true],
    ["MESSAGE_TOO_LARGE", 10, false],
    ["COORDINATOR_NOT_AVAILABLE", 15, true],
    ["UNSUPPORTED_VERSION", 35, false],
    ["FENCED_LEADER_EPOCH", 74, true],
    ["INVALID_RECORD", 87, false],
    ["UNKNOWN_TOPIC_ID", 100, true],
    ["REBOOTSTRAP_REQUIRED", 129, false]
  ] as const) {
    equal(ErrorCode[name], code)
    equal(errorName(code), name)
    equal(isRetriable(code), retriable)
  }
})

test("a code that does not exist", () => {
  equal(errorName(9_999), "UNKNOWN_SERVER_ERROR")
  equal(isRetriable(9_999), false)
  equal(errorMessage(9_999), errorMessage(-1))
})
