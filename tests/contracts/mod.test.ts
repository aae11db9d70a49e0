import assert from "node:assert/strict"
import { test } from "node:test"
import * as contracts from "manifold/contracts"

test("third parties import the suites by the package's name", () => {
  assert.deepEqual(Object.keys(contracts).sort(), [
    "batches",
    "engineContract",
    "keyValueContract",
    "metaStoreContract",
    "testServices"
  ])
})
