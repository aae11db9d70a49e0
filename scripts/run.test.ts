/** What `npm start` runs: its arguments, its exit code, its signals. The processes are real, every port is 0. */
import assert from "node:assert"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, test } from "node:test"
import { ROOT } from "./bootstrap.mjs"

const RUN = join(ROOT, "scripts/run.mjs")
/** Every listener of the defaults, on ports of its own; one of them twice, as a list. */
const LISTENERS = [
  "protocol-mqtt.tcp=127.0.0.1:0,127.0.0.1:0",
  "protocol-mqtt.websocket=127.0.0.1:0",
  "protocol-kafka.tcp=127.0.0.1:0",
  "admin-http.tcp=127.0.0.1:0"
]

/** Long, because the machine may be busy; short of the test's own limit, because what it has done so far must be told. */
const END_TIMEOUT_MS = 15_000

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

let folder = ""
let running: ChildProcess | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "manifold-run-"))
})
afterEach(() => {
  running?.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

/** Runs `node scripts/run.mjs`, here under Bun; `onOutput` sees all of stdout after each piece. */
function run(words: ReadonlyArray<string>, onOutput?: (child: ChildProcess, stdout: string) => void): Promise<Ended> {
  const child = spawn(process.execPath, [RUN, ...words], { stdio: ["ignore", "pipe", "pipe"] })
  running = child
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    onOutput?.(child, stdout)
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      const state = { stdout, stderr, exitCode: child.exitCode, signalCode: child.signalCode }
      fail(new Error(`it has not ended after ${END_TIMEOUT_MS} ms: ${JSON.stringify(state)}`))
    }, END_TIMEOUT_MS)
    child.once("error", fail)
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      done({ code, signal, stdout, stderr })
    })
  })
}

function startWords(): ReadonlyArray<string> {
  return ["start", "--data", join(folder, "data"), ...LISTENERS.flatMap((set) => ["--set", set])]
}

describe("start", () => {
  for (const signals of [["SIGTERM"], ["SIGINT"], ["SIGHUP"], ["SIGINT", "SIGINT"], ["SIGINT", "SIGTERM"]] as const) {
    test(`passes its arguments; ${signals.join(" and at once ")}: one graceful stop, exit code 0`, async () => {
      let signalled = false
      const ended = await run(startWords(), (child, stdout) => {
        if (signalled || !/^ready .*\n/m.test(stdout)) return
        signalled = true
        for (const signal of signals) child.kill(signal)
      })
      assert.deepStrictEqual({ code: ended.code, signal: ended.signal }, { code: 0, signal: null }, ended.stderr)
      assert.match(ended.stdout, /^ready .*protocol-mqtt\.tcp=127\.0\.0\.1:\d+,127\.0\.0\.1:\d+ /)
    })
  }

  test("the broker's own exit code and faults come through", async () => {
    const ended = await run(["start", "--set", "node.shardz=1"])
    assert.strictEqual(ended.code, 1)
    assert.strictEqual(ended.stdout, "")
    assert.match(ended.stderr, /node\.shardz/)
    assert.strictEqual((await run(["start", "--bogus"])).code, 2)
  })
})

test("an unknown verb names the known ones", async () => {
  const ended = await run(["strat"])
  assert.strictEqual(ended.code, 2)
  assert.match(ended.stderr, /strat.*start/)
})

test("every script of package.json is a verb", async () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
  const { stderr } = await run([""])
  const known = /known: (.*)/.exec(stderr)?.[1]?.split(", ").toSorted()
  assert.deepStrictEqual(Object.keys(scripts).toSorted(), known)
  for (const [verb, command] of Object.entries(scripts)) {
    assert.match(String(command), new RegExp(`^(exec )?node scripts/run\\.mjs ${verb}$`))
  }
})
