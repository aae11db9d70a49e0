import assert from "node:assert/strict"
import { test } from "node:test"
import { syncsBetween } from "./SyncTrace.ts"

const TRACE = `101 1700000000.100000 fdatasync(7) = 0
101 1700000000.900000 fdatasync(7 <unfinished ...>
102 1700000001.000000 fsync(9) = 0
101 1700000001.100000 <... fdatasync resumed>) = 0
102 1700000001.200000 +++ exited with 0 +++
1700000001.999999 fdatasync(7) = 0
101 1700000002.000000 fdatasync(7) = 0
`

test("calls count by the moment they began, once, from the first moment to before the last", () => {
  assert.equal(syncsBetween(TRACE, 1_700_000_000_000, 1_700_000_002_000), 4)
  assert.equal(syncsBetween(TRACE, 1_700_000_001_000, 1_700_000_002_000), 2)
  assert.equal(syncsBetween("", 0, 1), 0)
})
