/** The executable: built once, run in an empty folder with an empty environment. */
import assert from "node:assert"
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ROOT } from "./bootstrap.mjs"

/** What the executable publishes to plugins; no package of this repository. */
const HOST = JSON.stringify("manifold")
const PLUGIN = `import * as v from "valibot"
import { Effect, Layer } from "effect"
import { CONTRACT_VERSION, Listeners } from ${HOST}
const announce = Effect.gen(function* () {
  const listeners = yield* Listeners
  yield* listeners.announce({ plugin: "third-party", listener: "here", address: "127.0.0.1:7" })
})
export const plugin = {
  name: "third-party", version: "1.0.0", contractVersion: CONTRACT_VERSION, kind: "protocol", runs: "shard",
  options: v.strictObject({}), layer: () => Layer.effectDiscard(announce)
}
`

let folder = ""
let executable = ""
before(() => {
  folder = mkdtempSync(join(tmpdir(), "manifold-compile-"))
  executable = join(folder, "manifold")
  const args = [join(ROOT, "scripts/compile.ts"), "--outfile", executable]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
  assert.strictEqual(status, 0, stderr)
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a verb in a folder of its own with `files` in it. */
function inFolder(name: string, files: Readonly<Record<string, string>>): string {
  const home = join(folder, name)
  mkdirSync(home)
  for (const [file, text] of Object.entries(files)) writeFileSync(join(home, file), text)
  return home
}

test("it reads no .env and no bunfig.toml of the folder that it is started in", () => {
  const home = inFolder("settings", {
    ".env": "MANIFOLD_NODE__SHARDS=nonsense\n",
    "bunfig.toml": 'preload = ["./none.ts"]\n'
  })
  const { status, stdout, stderr } = spawnSync(executable, ["check-config"], { cwd: home, env: {}, encoding: "utf8" })
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
  assert.match(stdout, /defaults/)
})

test("a plugin from disk gets the host's own modules; the start is a graceful one", async () => {
  const config = '[[plugin]]\nuse = "./third.ts"\n[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\n'
  const home = inFolder("plugins", {
    "third.ts": PLUGIN,
    "manifold.toml": `${config}tcp = "127.0.0.1:0"\nwebsocket = []\n`
  })
  const child = spawn(executable, ["start"], { cwd: home, env: {}, stdio: ["ignore", "pipe", "pipe"] })
  try {
    let output = ""
    const ended = new Promise<number | null>((done) => child.once("close", done))
    child.stderr.on("data", (text) => {
      output += String(text)
    })
    child.stdout.on("data", (text) => {
      output += String(text)
      if (/^ready .*\n/m.test(output)) child.kill("SIGTERM")
    })
    assert.strictEqual(await ended, 0, output)
    assert.match(output, /^ready .*third-party\.here=127\.0\.0\.1:7 .*protocol-mqtt\.tcp=127\.0\.0\.1:\d+/m)
  } finally {
    child.kill("SIGKILL")
  }
})

test("an unknown target names the nearest known one", () => {
  const args = [join(ROOT, "scripts/compile.ts"), "--target", "linux-arm6"]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
  assert.strictEqual(status, 2)
  assert.match(stderr, /linux-arm6.*did you mean "linux-arm64"/)
})
