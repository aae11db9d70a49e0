import assert from "node:assert/strict"
import { test } from "node:test"
import { isLoopback, parseAddress } from "./Net.ts"

test("addresses that are host and port", () => {
  const rows: ReadonlyArray<readonly [string, string, number]> = [
    ["127.0.0.1:1883", "127.0.0.1", 1_883],
    ["localhost:0", "localhost", 0],
    ["example.org:65535", "example.org", 65_535],
    ["[::1]:8883", "::1", 8_883],
    ["[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1],
    ["0.0.0.0:09092", "0.0.0.0", 9_092]
  ]
  for (const [address, host, port] of rows) assert.deepEqual(parseAddress(address), { host, port }, address)
})

test("addresses that are not", () => {
  for (const address of [
    "",
    "1883",
    ":1883",
    "localhost",
    "localhost:",
    "localhost:65536",
    "localhost:-1",
    "localhost:1e3",
    "localhost:100000",
    "::1:1883",
    "[::1]",
    "[]:1",
    "[zz]:1",
    "[::1]x:1",
    "a b:1",
    "host:1 ",
    " host:1",
    "tcp://host:1"
  ]) {
    assert.equal(parseAddress(address), undefined, JSON.stringify(address))
  }
})

test("hosts that only this machine reaches, and hosts that are not", () => {
  for (const host of ["localhost", "::1", "127.0.0.1", "127.8.9.10"]) assert.equal(isLoopback(host), true, host)
  for (const host of [
    "0.0.0.0",
    "::",
    "10.127.0.1",
    "128.0.0.1",
    "::2",
    "localhost.example.org",
    "127.evil.example",
    "127.0.0.1.example",
    ""
  ]) {
    assert.equal(isLoopback(host), false, host)
  }
})
