import assert from "node:assert/strict"
import { test } from "node:test"
import { isLoopback, parseAddress } from "./Net.ts"

test("addresses: host, port, IPv6 in brackets; everything else is none", () => {
  assert.deepEqual(parseAddress("127.0.0.1:1883"), { host: "127.0.0.1", port: 1883 })
  assert.deepEqual(parseAddress("localhost:0"), { host: "localhost", port: 0 })
  assert.deepEqual(parseAddress("[::1]:65535"), { host: "::1", port: 65_535 })
  for (const text of ["", ":1", "host", "host:", "host:65536", "host:-1", "::1:1883", "[::1]", "a b:1", "host:1x"]) {
    assert.equal(parseAddress(text), undefined, text)
  }
})

test("only this machine reaches loopback addresses; a name that looks like one is not", () => {
  for (const host of ["localhost", "::1", "127.0.0.1", "127.1.2.3"]) assert.equal(isLoopback(host), true, host)
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "127.0.0.1.example", "128.0.0.1", ""]) {
    assert.equal(isLoopback(host), false, host)
  }
})
