import assert from "node:assert/strict"
import { test } from "node:test"
import { builtins } from "./fakes.ts"
import { formatFault } from "./faults.ts"
import { loadConfig } from "./load.ts"

const GIB = 1_073_741_824

function faultsOf(text: string): ReadonlyArray<string> {
  const source = { text, file: "manifold.toml", environment: {}, sets: [], builtins }
  return loadConfig(source).faults.map(formatFault)
}

test("bounds that make sense are taken as they are", () => {
  const text = `[node]\nshards = 2\ndata_bytes_max = ${GIB}\ntenant_bytes_max = ${GIB}\n[topics]\nretention_bytes = ${GIB}\n`
  const { config, faults } = loadConfig({ text, file: "f", environment: {}, sets: [], builtins })
  assert.deepEqual(faults, [])
  assert.deepEqual(config?.budget, { dataBytesMax: GIB, tenantBytesMax: GIB })
})

test("a data directory that the journals alone would fill is a fault, with what they need", () => {
  assert.deepEqual(faultsOf("[node]\nshards = 3\ndata_bytes_max = 402653183\n"), [
    "manifold.toml:3: node.data_bytes_max: found 402653183; allowed: 0, or 134217728 or more for each shard, which its journal needs: 402653184"
  ])
  assert.deepEqual(faultsOf("[node]\nshards = 3\ndata_bytes_max = 402653184\n"), [])
})

test("bounds that the whole directory's comes before are faults, each where it stands", () => {
  const within = "allowed: 134217728 or less: node.data_bytes_max is reached before"
  const text = `[node]
data_bytes_max = 134217728
tenant_bytes_max = 134217729
[topics]
retention_bytes = 200000000
[[topics.rule]]
match = "a"
retention_bytes = 134217728
[[topics.rule]]
match = "b"
retention_bytes = 300000000
[[binding]]
topic = "c"
filter = "c/#"
retention_bytes = 400000000
`
  assert.deepEqual(faultsOf(text), [
    `manifold.toml:3: node.tenant_bytes_max: found 134217729; ${within}`,
    `manifold.toml:5: topics.retention_bytes: found 200000000; ${within}`,
    `manifold.toml:11: topics.rule.1.retention_bytes: found 300000000; ${within}`,
    `manifold.toml:15: binding.0.retention_bytes: found 400000000; ${within}`
  ])
  // Nobody has named a budget.
  assert.deepEqual(faultsOf(text.replace("data_bytes_max = 134217728\n", "")), [])
})
