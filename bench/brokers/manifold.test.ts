import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { manifestOf } from "./manifold.ts"

const PROGRAM = new URL("../../cli/main.ts", import.meta.url).pathname

test("the manifest of a durable run is one that the broker takes, with and without names", { timeout: 20_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "manifold-bench-test-"))
  try {
    for (const names of [[], ["bench/t000000", "bench/t000001"]]) {
      const file = join(folder, "manifold.toml")
      writeFileSync(file, `${manifestOf(names).join("\n")}\n`)
      const run = spawnSync(process.execPath, [PROGRAM, "check-config", "--config", file], { encoding: "utf8" })
      assert.equal(run.status, 0, run.stderr)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("each name has a topic of its own, called like it with dots", () => {
  assert.deepEqual(manifestOf(["bench/t1"]), ["[[binding]]", 'topic = "bench.t1"', 'filter = "bench/t1"'])
})
