import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { packAddress, unpackAddress } from "./packed-address.ts"

test("an address comes back as it was, and one of IPv4 is a number", () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      assert.equal(typeof packAddress(address), "number")
      assert.equal(unpackAddress(packAddress(address)), address)
    })
  )
  const others = ["", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "1.2.3.256", "01.2.3.4", "1.2.3", "999.999.999.999", "x"]
  for (const address of others) assert.equal(unpackAddress(packAddress(address)), address)
})
