/** The bundle: one file, copied alone into an empty folder and run there by Bun with an empty environment. */
import assert from "node:assert"
import { spawn, spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { gzipSync } from "node:zlib"
import { ROOT } from "./bootstrap.mjs"

const TIMEOUT_MS = 60_000
/** The promise for devices: what has to be downloaded where Bun is there already. */
const GZIP_BYTES_MAX = 1_300_000
/** What keeps Bun from doing more than running the file; the same as in its first line. */
const FLAGS = ["--no-env-file", "--no-install", "--config=/dev/null"]
const LISTENERS = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
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

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

let folder = ""
let all = ""
let edge = ""

/** A folder with `bundle` as manifold.js and `files` in it. */
function home(name: string, bundle: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder, name)
  mkdirSync(path)
  copyFileSync(bundle, join(path, "manifold.js"))
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  return path
}

/** Runs `bun manifold.js WORD...` to its end; what prints a ready line is stopped with SIGTERM. */
async function run(cwd: string, words: ReadonlyArray<string>, flags: ReadonlyArray<string> = []): Promise<Ended> {
  const args = [...flags, "manifold.js", ...words]
  const child = spawn(process.execPath, args, { cwd, env: {}, stdio: ["ignore", "pipe", "pipe"], timeout: TIMEOUT_MS })
  let stdout = ""
  let stderr = ""
  child.stderr.on("data", (text) => {
    stderr += String(text)
  })
  child.stdout.on("data", (text) => {
    stdout += String(text)
    // Once: a second signal would end it at once.
    if (!child.killed && /^ready .*\n/m.test(stdout)) child.kill("SIGTERM")
  })
  const status = await new Promise<number | null>((done, fail) => {
    child.once("error", fail)
    child.once("close", done)
  })
  return { status, stdout, stderr }
}

function bundle(...words: ReadonlyArray<string>): string {
  const args = [join(ROOT, "scripts/bundle.ts"), ...words]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" })
  assert.strictEqual(status, 0, stdout + stderr)
  return stdout
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), "manifold-bundle-"))
  all = join(folder, "all.js")
  edge = join(folder, "edge.js")
  writeFileSync(join(folder, "edge.toml"), '[[plugin]]\nuse = "protocol-mqtt"\n')
  assert.match(bundle("--outfile", all), /^all\.js: .* MB, gzip .* MB, zstd .* MB; .*protocol-kafka/)
  bundle("--outfile", edge, "--config", "edge.toml")
})
after(() => rmSync(folder, { recursive: true, force: true }))

test(`it is smaller than ${GZIP_BYTES_MAX} bytes compressed`, () => {
  const [size, edgeSize] = [all, edge].map((file) => gzipSync(readFileSync(file), { level: 9 }).length)
  assert.ok(size !== undefined && edgeSize !== undefined && edgeSize < size && size < GZIP_BYTES_MAX, `${size}`)
})

test("started in an empty folder with an empty environment it gets ready and stops gracefully", async () => {
  const sets = LISTENERS.flatMap((name) => ["--set", `${name}=127.0.0.1:0`])
  const { status, stdout, stderr } = await run(home("empty", all, {}), ["start", ...sets])
  assert.strictEqual(status, 0, stdout + stderr)
  for (const name of LISTENERS)
    assert.match(stdout, new RegExp(`^ready .* ${name.replace(".", "\\.")}=127\\.0\\.0\\.1:\\d+`))
})

test("the same source and manifest give the same bytes, with no path of the machine in them", () => {
  const again = join(folder, "again.js")
  bundle("--outfile", again)
  const text = readFileSync(again, "utf8")
  assert.ok(text === readFileSync(all, "utf8"))
  assert.strictEqual(text.includes(ROOT), false)
})

test("exit codes and faults are those of the command", async () => {
  const cwd = home("faults", edge, { "kafka.toml": '[[plugin]]\nuse = "protocol-kafka"\n' })
  assert.strictEqual((await run(cwd, ["strat"])).status, 2)
  const { status, stdout, stderr } = await run(cwd, ["start", "--config", "kafka.toml"])
  assert.deepStrictEqual({ status, stdout }, { status: 1, stdout: "" })
  assert.match(
    stderr,
    /^manifold: kafka\.toml:2: plugin\.0\.use: .*it has: storage-memory, storage-sqlite, storage-segment, meta-raft, protocol-mqtt\n$/
  )
})

test("a plugin from disk gets the host's own modules", async () => {
  const manifest = '[[plugin]]\nuse = "./third.ts"\n[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\n'
  const files = { "third.ts": PLUGIN, "manifold.toml": `${manifest}tcp = "127.0.0.1:0"\nwebsocket = []\n` }
  const { status, stdout, stderr } = await run(home("disk", edge, files), ["start"], FLAGS)
  assert.strictEqual(status, 0, stdout + stderr)
  assert.match(stdout, /^ready .*third-party\.here=127\.0\.0\.1:7 .*protocol-mqtt\.tcp=127\.0\.0\.1:\d+/)
})

test("with the flags of its first line Bun reads no .env and no bunfig.toml, and fetches no package", async () => {
  const cwd = home("settings", all, {
    ".env": "MANIFOLD_NODE__SHARDS=nonsense\n",
    "bunfig.toml": 'preload = ["./none.ts"]\n',
    "lacks.ts": 'import "is-odd"\nexport const plugin = 1\n',
    "lacks.toml": '[[plugin]]\nuse = "./lacks.ts"\n'
  })
  assert.strictEqual(readFileSync(all, "utf8").split("\n")[0], `#!/usr/bin/env -S bun ${FLAGS.join(" ")}`)
  const checked = await run(cwd, ["check-config"], FLAGS)
  assert.deepStrictEqual(checked, { status: 0, stdout: "defaults: no faults\n", stderr: "" })
  const lacking = await run(cwd, ["check-config", "--config", "lacks.toml"], FLAGS)
  assert.strictEqual(lacking.status, 1)
  assert.match(lacking.stderr, /is-odd/)
})

test("a bundle holds no code of a plugin that its manifest does not name", () => {
  const [whole, less] = [all, edge].map((file) => readFileSync(file, "utf8"))
  const words = [
    ...new Set(
      kafkaSources().flatMap((text) => [...text.matchAll(/"([A-Za-z_ ]{12,})"/g)].map(([, word = ""]) => word))
    )
  ]
  const others = otherSources()
  const isIn = (bundle: string | undefined, word: string): boolean => bundle?.includes(`"${word}"`) === true
  const own = words.filter((word) => isIn(whole, word) && !others.some((text) => text.includes(word)))
  assert.ok(own.length > 20, `${own.length} words that only protocol-kafka says`)
  assert.deepStrictEqual(
    own.filter((word) => isIn(less, word)),
    []
  )
})

function kafkaSources(): ReadonlyArray<string> {
  return sources("plugins/protocol-kafka/**/*.ts")
}

function otherSources(): ReadonlyArray<string> {
  return [
    ...sources("{core,cli}/**/*.ts"),
    ...sources("plugins/{storage-memory,storage-sqlite,storage-segment,meta-raft,protocol-mqtt}/**/*.ts")
  ]
}

function sources(pattern: string): ReadonlyArray<string> {
  const paths = [...new Bun.Glob(pattern).scanSync(ROOT)].filter((path) => !path.endsWith(".test.ts"))
  return paths.map((path) => readFileSync(join(ROOT, path), "utf8"))
}
