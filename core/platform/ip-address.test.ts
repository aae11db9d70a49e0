import assert from "node:assert/strict"
import { test } from "node:test"
import { addressOf, isInNetwork, networkOf } from "./ip-address.ts"

test("an address has one form, however it is written", () => {
  for (const [text, form] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["::FFFF:0a01:0203", "10.1.2.3"],
    ["::ffff:255.255.255.255", "255.255.255.255"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8::0:1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["::1", "::1"],
    ["::", "::"]
  ] as const) {
    assert.equal(addressOf(text), form, text)
  }
  for (const text of ["", "unix", "10.1.2", "10.1.2.256", "1.2.3.4:80", "2001:db8", "[::1]", "g::1", "10.1.2.3/8"]) {
    assert.equal(addressOf(text), "", text)
  }
})

test("a network holds the addresses that begin as it says", () => {
  const isIn = (network: string, address: string): boolean | undefined => {
    const found = networkOf(network)
    return found === undefined ? undefined : isInNetwork(found, addressOf(address))
  }
  for (const [network, address, expected] of [
    ["10.1.0.0/16", "10.1.255.255", true],
    ["10.1.0.0/16", "10.2.0.0", false],
    ["10.1.0.0/16", "::ffff:10.1.0.9", true],
    ["10.1.2.3/16", "10.1.9.9", true],
    ["10.1.2.3/32", "10.1.2.3", true],
    ["10.1.2.3/32", "10.1.2.2", false],
    ["0.0.0.0/0", "9.9.9.9", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["2001:db8::/32", "2001:DB8:ffff::1", true],
    ["2001:db8::/32", "2001:db9::1", false],
    ["::/0", "::1", true],
    ["10.1.0.0/16", "", false]
  ] as const) {
    assert.equal(isIn(network, address), expected, `${address} in ${network}`)
  }
  for (const text of [
    "10.1.0.0",
    "10.1.0.0/33",
    "10.1.0.0/-1",
    "10.1/16",
    "2001:db8::/129",
    "fe80::1%eth0/64",
    "/8",
    ""
  ]) {
    assert.equal(networkOf(text), undefined, text)
  }
})
