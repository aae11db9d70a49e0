/**
 * Executables: built as a user builds them, run in empty folders with an empty environment.
 *
 * Environment
 *  - MANIFOLD_TEST_TARGETS=linux-x64-musl,windows-x64 (or `all`): other targets than this machine's to build and check. Bun fetches the
 *    runtime of each once, 40 MB, from the npm registry; without the variable they are skipped.
 */
import assert from "node:assert"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ROOT } from "./bootstrap.mjs"
import { formatOfFile, targetOf } from "./packaging/executable-format.ts"
import { fileName, hostTarget, TARGETS } from "./packaging/targets.ts"

/** Long, because the machine may be busy. */
const TIMEOUT_MS = 60_000
/** Where a runtime may have to be fetched first. */
const FETCH_TIMEOUT_MS = 180_000
/** What the host publishes to plugins; no package of this repository. */
const HOST = JSON.stringify("manifold")
const BESIDE = JSON.stringify("./address.ts")
const PLUGIN = `import * as v from "valibot"
import { Effect, Layer } from "effect"
import { CONTRACT_VERSION, Listeners } from ${HOST}
import { address } from ${BESIDE}
const announce = Effect.gen(function* () {
  const listeners = yield* Listeners
  yield* listeners.announce({ plugin: "third-party", listener: "here", address })
})
export const plugin = {
  name: "third-party", version: "1.0.0", contractVersion: CONTRACT_VERSION, kind: "protocol", runs: "shard",
  options: v.strictObject({}), layer: () => Layer.effectDiscard(announce)
}
`
const MQTT = '[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcp = "127.0.0.1:0"\nwebsocket = []\n'
const THIRD = `[[plugin]]\nuse = "./third.ts"\n${MQTT}`
const PACKAGE = `[[plugin]]\nuse = "a-package"\n${THIRD}`
const OTHERS = `${MQTT}[[plugin]]\nuse = "protocol-kafka"\nenabled = false\n`
const KAFKA = `${MQTT}[[plugin]]\nuse = "protocol-kafka"\n`
/** What only protocol-kafka says: names of error codes, of options, of metrics, of messages. */
const KAFKA_STRINGS = [
  "NOT_LEADER_OR_FOLLOWER",
  "INVALID_TOPIC_EXCEPTION",
  "requests_in_flight_max",
  "manifold_kafka",
  "FindCoordinator"
]
/** Bytecode and source of the Kafka plugin are several hundred kilobytes. */
const KAFKA_BYTES_MIN = 300_000

/** The same plugin, by another name and in one file. */
function named(name: string, address: string): string {
  const constant = `const address = ${JSON.stringify(address)}`
  return PLUGIN.replaceAll('"third-party"', JSON.stringify(name)).replace(/^import \{ address.*$/m, constant)
}

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

let folder = ""
const executable = (name: string): string => join(folder, name)
/** A folder of its own with `files` in it; returns its path. */
function home(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder, name)
  mkdirSync(path)
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(path, file, ".."), { recursive: true })
    writeFileSync(join(path, file), text)
  }
  return path
}

function compile(...words: ReadonlyArray<string>): Promise<Ended> {
  return run(process.execPath, [join(ROOT, "scripts/compile.ts"), ...words], folder, process.env)
}

/** Runs to the end; what prints a ready line is stopped with SIGTERM. Without `env` the environment is empty. */
async function run(
  file: string,
  words: ReadonlyArray<string>,
  cwd: string,
  env: NodeJS.ProcessEnv = {}
): Promise<Ended> {
  const child = spawn(file, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: FETCH_TIMEOUT_MS })
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

/** Starts it, stops it, returns its ready line. */
async function readyLine(file: string, cwd: string, ...words: ReadonlyArray<string>): Promise<string> {
  const { status, stdout, stderr } = await run(file, ["start", ...words], cwd)
  assert.strictEqual(status, 0, stdout + stderr)
  return /^ready .*/m.exec(stdout)?.[0] ?? ""
}

before(
  async () => {
    folder = mkdtempSync(join(tmpdir(), "manifold-compile-"))
    const edge = home("edge-source", { "edge.toml": OTHERS })
    const own = home("own-source", {
      "manifold.toml": PACKAGE,
      // What it leaves running does not hold up the build.
      "third.ts": `${PLUGIN}setInterval(() => {}, 1_000)\n`,
      "address.ts": 'export const address: string = "127.0.0.1:7"\n',
      "node_modules/a-package/package.json": '{ "name": "a-package", "exports": "./lib/main.ts" }',
      "node_modules/a-package/lib/main.ts": named("from-a-package", "127.0.0.1:6"),
      // Not the host's: a plugin that was compiled with it could not be started.
      "node_modules/effect/package.json": '{ "name": "effect", "version": "0.0.0", "main": "index.js" }',
      "node_modules/effect/index.js": 'throw new Error("this is not the effect of the host")\n'
    })
    // At the same time: builds know nothing of each other.
    const built = await Promise.all([
      compile("--outfile", "full"),
      compile("--outfile", "edge", "--config", join(edge, "edge.toml")),
      compile("--outfile", "own", "--config", join(own, "manifold.toml"))
    ])
    for (const { status, stdout, stderr } of built) assert.strictEqual(status, 0, stdout + stderr)
    rmSync(own, { recursive: true })
    rmSync(edge, { recursive: true })
  },
  { timeout: TIMEOUT_MS }
)
after(() => rmSync(folder, { recursive: true, force: true }))

test("builds leave nothing behind but what was asked for", () => {
  assert.deepStrictEqual(readdirSync(folder).toSorted(), ["edge", "full", "own"])
  const places = [ROOT, join(ROOT, "cli"), join(ROOT, "dist"), process.cwd()].filter((path) => existsSync(path))
  const left = places.flatMap((path) => readdirSync(path)).filter((name) => /with-plugins\.js|\.bun-build/.test(name))
  assert.deepStrictEqual(left, [])
})

test("started in an empty folder with an empty environment it gets ready and stops gracefully", async () => {
  const listeners = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
  const sets = listeners.flatMap((name) => ["--set", `${name}=127.0.0.1:0`])
  const ready = await readyLine(executable("full"), home("empty", {}), ...sets)
  for (const name of listeners) assert.match(ready, new RegExp(` ${name.replace(".", "\\.")}=127\\.0\\.0\\.1:\\d+`))
})

test("it reads no .env and no bunfig.toml of the folder that it is started in", async () => {
  const cwd = home("settings", {
    ".env": "MANIFOLD_NODE__SHARDS=nonsense\n",
    "bunfig.toml": 'preload = ["./none.ts"]\n',
    "tsconfig.json": "nonsense",
    "package.json": "nonsense"
  })
  const { status, stdout, stderr } = await run(executable("full"), ["check-config"], cwd)
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
  assert.match(stdout, /defaults/)
})

test("a plugin from disk gets the host's own modules; the start is a graceful one", async () => {
  const files = { "third.ts": PLUGIN, "address.ts": 'export const address = "127.0.0.1:9"\n', "manifold.toml": THIRD }
  for (const name of ["full", "edge"]) {
    const ready = await readyLine(executable(name), home(`disk-${name}`, files))
    assert.match(ready, /third-party\.here=127\.0\.0\.1:9 .*protocol-mqtt\.tcp=127\.0\.0\.1:\d+/)
  }
})

test("a package from disk by name, held by its digest to what plugin check saw, and to its folder", async () => {
  const code = "node_modules/@some/package/main.ts"
  const cwd = home("disk-package", { [code]: named("from-disk", "127.0.0.1:5"), "beside.ts": "export default 1\n" })
  writeFileSync(join(cwd, "node_modules/@some/package/package.json"), '{ "exports": { ".": "./main.ts" } }')
  const runFull = (...words: ReadonlyArray<string>): Promise<Ended> => run(executable("full"), words, cwd)
  const checked = await runFull("plugin", "check", "@some/package")
  const digest = /^digest = "sha256-[0-9a-f]{64}"$/m.exec(checked.stdout)?.[0] ?? checked.stderr
  writeFileSync(join(cwd, "manifold.toml"), `[[plugin]]\nuse = "@some/package"\n${digest}\n${MQTT}`)
  assert.match(await readyLine(executable("full"), cwd), / from-disk\.here=127\.0\.0\.1:5 /)
  writeFileSync(join(cwd, code), named("from-disk", "127.0.0.1:4"))
  const changed = await runFull("start")
  assert.deepStrictEqual([changed.status, changed.stdout], [1, ""])
  assert.match(changed.stderr, /^manifold: manifold\.toml:3: plugin\.0\.digest: .*@some\/package.*\n$/)
  writeFileSync(join(cwd, code), `await ${"import"}("../../../" + "beside.ts")\n`)
  const leaves = await runFull("plugin", "check", "./node_modules/@some/package")
  assert.deepStrictEqual([leaves.status, leaves.stdout], [1, ""])
  assert.match(leaves.stderr, /^manifold: .*main\.ts imports "\.\.\/\.\.\/\.\.\/beside\.ts", which lies outside.*\n$/)
})

test("an executable holds no code of a plugin that its manifest does not name", () => {
  const [full, edge] = [readFileSync(executable("full")), readFileSync(executable("edge"))]
  for (const text of KAFKA_STRINGS)
    assert.deepStrictEqual([full.includes(text), edge.includes(text)], [true, false], text)
  const runtime = statSync(process.execPath).size
  const saved = full.length - edge.length
  assert.ok(saved > KAFKA_BYTES_MIN, `${full.length - runtime} bytes of ours, ${edge.length - runtime} without Kafka`)
})

test("no path of the machine that built it is in it", () => {
  for (const name of ["full", "own"]) {
    const bytes = readFileSync(executable(name))
    for (const path of [ROOT, folder]) assert.strictEqual(bytes.includes(path), false, `${name}: ${path}`)
  }
})

test("it knows only what is in it", async () => {
  const cwd = home("edge-run", { "manifold.toml": OTHERS, "kafka.toml": KAFKA })
  const runEdge = (...words: ReadonlyArray<string>): Promise<Ended> => run(executable("edge"), words, cwd)
  const help = await runEdge("help")
  assert.match(
    help.stdout,
    /^Plugins in this build: storage-memory, storage-sqlite, storage-segment, meta-raft, protocol-mqtt$/m
  )
  assert.doesNotMatch(help.stdout, /kafka/i)
  const listed = await runEdge("plugin", "list")
  assert.strictEqual(listed.status, 0, listed.stderr)
  const names = listed.stdout.split("\n").map((line) => line.split(" ")[0])
  assert.deepStrictEqual(names, [
    "NAME",
    "storage-memory",
    "storage-sqlite",
    "storage-segment",
    "meta-raft",
    "protocol-mqtt",
    ""
  ])
  // The manifest that it was built from switches off what was left out.
  const ready = await readyLine(executable("edge"), cwd)
  assert.match(ready, / protocol-mqtt\.tcp=/)
  assert.doesNotMatch(ready, /kafka|admin-http/)
  const allowed =
    "a plugin that was compiled in; this one is not in this executable; it has: storage-memory, storage-sqlite, storage-segment, meta-raft, protocol-mqtt"
  assert.deepStrictEqual(await runEdge("start", "--config", "kafka.toml"), {
    status: 1,
    stdout: "",
    stderr: `manifold: kafka.toml:7: plugin.1.use: found "protocol-kafka"; allowed: ${allowed}\n`
  })
  const set = await runEdge("start", "--set", "protocol-kafka.tcp=127.0.0.1:0")
  assert.strictEqual(set.status, 1)
  assert.match(set.stderr, /--set protocol-kafka\.tcp: .*not in this executable; it has: /)
})

test("a third party's plugin that was compiled in starts with no file of it on disk, beside one from disk", async () => {
  const cwd = home("own-run", { "manifold.toml": PACKAGE })
  const alone = await readyLine(executable("own"), cwd)
  assert.match(alone, / from-a-package\.here=127\.0\.0\.1:6 third-party\.here=127\.0\.0\.1:7 protocol-mqtt\.tcp=/)
  const help = await run(executable("own"), ["help"], cwd)
  const names = "storage-memory, storage-sqlite, storage-segment, meta-raft, protocol-mqtt, a-package, ./third.ts"
  assert.ok(help.stdout.endsWith(`Plugins in this build: ${names}\n`), help.stdout)
  const listed = await run(executable("own"), ["plugin", "list"], cwd)
  assert.match(listed.stdout, /^from-a-package +protocol +1\.0\.0 .* starts/m, listed.stderr)
  assert.match(listed.stdout, /^third-party +protocol +1\.0\.0 .* starts/m)
  const both = home("own-and-disk", {
    "manifold.toml": `${THIRD}[[plugin]]\nuse = "./fourth.ts"\n`,
    "fourth.ts": named("fourth-party", "127.0.0.1:8")
  })
  const ready = await readyLine(executable("own"), both)
  assert.match(ready, / third-party\.here=127\.0\.0\.1:7 /)
  assert.match(ready, / fourth-party\.here=127\.0\.0\.1:8 /)
})

test("a manifest with faults is refused as check-config refuses it, and nothing is built", async () => {
  const cwd = home("faults", {
    "bad.toml": `${MQTT}tpc = "x"\n[[plugin]]\nuse = "protocol-coap"\n[[plugin]]\nuse = "./none.ts"\n[node]\nshards = 0\n`,
    "broken.ts": "export const plugin = {}\n",
    "broken.toml": '[[plugin]]\nuse = "./broken.ts"\n',
    "text.toml": "[node\n"
  })
  for (const file of ["bad.toml", "broken.toml", "text.toml", "none.toml"]) {
    const words = ["--config", join(cwd, file)]
    const checked = await run(process.execPath, [join(ROOT, "cli/main.ts"), "check-config", ...words], cwd)
    const built = await compile(...words, "--outfile", join(cwd, "built"))
    assert.deepStrictEqual(built, { status: 1, stdout: "", stderr: checked.stderr })
    assert.match(built.stderr, /^manifold: /)
  }
  assert.deepStrictEqual(readdirSync(cwd).toSorted(), ["bad.toml", "broken.toml", "broken.ts", "text.toml"])
})

test("what makes no sense ends with 2 and says what would", async () => {
  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
    [["--target", "linux-arm6"], /linux-arm6.*did you mean "linux-arm64"/],
    [["--target", "all", "--outfile", "x"], /--outfile takes one --target/],
    [["--targets", "all"], /--targets.*known: --target, --config, --outfile/],
    [["linux-x64"], /linux-x64/]
  ]
  for (const [words, message] of wrong) {
    const { status, stdout, stderr } = await compile(...words)
    assert.deepStrictEqual({ status, stdout }, { status: 2, stdout: "" }, stderr)
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /\n./)
  }
})

const asked = process.env["MANIFOLD_TEST_TARGETS"]?.split(",") ?? []
const others = TARGETS.filter((target) => target !== hostTarget())
const chosen = others.filter((target) => asked.includes("all") || asked.includes(target))
if (chosen.length === 0) test.skip("other targets [skipped: MANIFOLD_TEST_TARGETS names none of them]", () => {})
for (const target of chosen) {
  test(`${target}: built here, of the right format`, { timeout: FETCH_TIMEOUT_MS }, async () => {
    const file = executable(fileName(target))
    const { status, stdout, stderr } = await compile("--target", target, "--outfile", file)
    assert.strictEqual(status, 0, stdout + stderr)
    assert.strictEqual(targetOf(formatOfFile(file)), target)
    assert.ok(readFileSync(file).includes("manifold_kafka"))
    rmSync(file)
  })
}

const MUSL_LIBRARY = "libstdc++.so.6"
const muslLoader = `/lib/ld-musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`
const muslMissing = !existsSync(muslLoader)
  ? `there is no ${muslLoader} here`
  : !["/lib", "/usr/lib", "/usr/local/lib"].some((path) => existsSync(join(path, MUSL_LIBRARY)))
    ? `there is no ${MUSL_LIBRARY} for musl here`
    : undefined
const musl = "an executable for musl runs"
if (muslMissing !== undefined) test.skip(`${musl} [skipped: ${muslMissing}]`, () => {})
else {
  test(musl, { timeout: FETCH_TIMEOUT_MS }, async () => {
    const file = executable("musl")
    const { status, stderr } = await compile("--target", `linux-${process.arch}-musl`, "--outfile", file)
    assert.strictEqual(status, 0, stderr)
    assert.match(await readyLine(file, home("musl-run", { "manifold.toml": MQTT })), / protocol-mqtt\.tcp=/)
  })
}
