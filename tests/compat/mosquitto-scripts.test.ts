/**
 * The test scripts of the mosquitto broker (its test/broker, version 2.0.11) against ours, each a test of its own.
 *
 * They are not part of this repository: mosquitto-scripts/fetch.sh gets them from Debian's source package into .cache, and where it
 * cannot, the tests are skipped. mosquitto-scripts/run_script.py runs one of them unchanged, with our broker where it starts mosquitto
 * and with mosquitto.conf said in our settings; packets.py compares what packets say, and has the list of what the standard leaves to
 * a server. allow/mosquitto-scripts.txt names the scripts that fail, and why; one that passes, or is not there, is a fault.
 *
 * Brokers are started some two hundred times: the command is compiled first, which makes a start five times as fast.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brokerCommand, IS_EXTERNAL, ROOT, RUNS_ON_DENO } from "../support/broker.ts"
import { makeAuthority, makeCertificate } from "../support/certificates.ts"
import { pathOf, run, type Tool, testWith, tools } from "../support/tools.ts"
import { allowed } from "./compat.ts"

const HERE = join(ROOT, "tests/compat/mosquitto-scripts")
/** Where fetch.sh puts mosquitto's folder test/. */
const CACHE = join(ROOT, ".cache/mosquitto-scripts")
/** How long the source may take to come, one script, and all before the last one, in ms. */
const FETCH_MS = 120_000
const SCRIPT_MS = 90_000
const LIMIT_MS = 400_000
/** Scripts that run at once: they mostly wait. */
const AT_ONCE = 8
/** The exit code of run_script.py for a script that sets an option we have no equal for, and what it says then. */
const NO_EQUAL = 3
const NO_EQUAL_WORDS = "no equal for option "
/** The scripts that take longest, by themselves; they begin first. */
const LONGEST = /^(?:03-pattern|03-publish-[bc]2[bc]|05-session|07-will-delay|11-message|12-prop-maximum)/

/** Scripts that cannot concern another broker, by how their names begin. */
const LEFT_OUT: ReadonlyArray<readonly [names: RegExp, reason: string]> = [
  [/^06-bridge-|^08-ssl-bridge/, "about mosquitto's bridges"],
  [/^08-tls-psk-/, "about pre-shared keys, with a client in C that is not built"],
  [/^09-plugin-/, "about mosquitto's plugins in C"],
  [/^09-extended-auth-(?!unsupported)/, "about authentication methods of mosquitto's plugins in C"],
  [/^14-dynsec-/, "about mosquitto's dynamic security plugin"],
  [/^03-publish-qos1-queued-bytes/, "for Python 2, and not among the tests that mosquitto runs"]
]

interface Outcome {
  readonly code: number | null
  readonly output: string
}

/** mosquitto's folder test/, or why it is not there. */
function findSource(): Tool {
  if (RUNS_ON_DENO) return { missing: "mosquitto's scripts start too many brokers to be run with Deno" }
  if (IS_EXTERNAL) return { missing: "mosquitto's scripts start brokers of their own" }
  if ("missing" in tools.python) return tools.python
  const { stderr, error } = spawnSync(join(HERE, "fetch.sh"), { encoding: "utf8", timeout: FETCH_MS })
  const path = join(CACHE, "test")
  return existsSync(path) ? { path } : { missing: stderr.trim() || String(error) }
}

const source = findSource()
const names =
  "missing" in source ? [] : readdirSync(join(source.path, "broker")).filter((name) => /^\d\d-.*\.py$/.test(name))
const scripts = names.filter((name) => !name.endsWith("-helper.py")).toSorted()
const reasonOf = (name: string): string | undefined => LEFT_OUT.find(([beginning]) => beginning.test(name))?.[1]
const may = allowed("mosquitto-scripts")

let folder = ""
const outcomes = new Map<string, Promise<Outcome>>()

if ("missing" in source) testWith([source], "mosquitto's test scripts", async () => {})
else {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "manifold-mosquitto-"))
    const command = await fastCommand()
    writeCertificates(join(folder, "ssl"))
    const chosen = scripts.filter((name) => reasonOf(name) === undefined)
    const waiting = [...chosen.filter((name) => LONGEST.test(name)), ...chosen.filter((name) => !LONGEST.test(name))]
    const begun = new Map(chosen.map((name) => [name, Promise.withResolvers<Outcome>()]))
    for (const [name, { promise }] of begun) {
      promise.catch(() => {})
      outcomes.set(name, promise)
    }
    const work = async (): Promise<void> => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        await runScript(name, command).then(begun.get(name)?.resolve, begun.get(name)?.reject)
      }
    }
    for (let index = 0; index < AT_ONCE; index++) void work()
  }, FETCH_MS)
  afterAll(async () => {
    await Promise.allSettled(outcomes.values())
    rmSync(folder, { recursive: true, force: true })
  }, LIMIT_MS)
  for (const name of scripts) {
    const reason = reasonOf(name)
    const why = may.get(name)
    if (reason !== undefined) test.skip(`${name} [skipped: ${reason}]`, () => {})
    else if (why !== undefined) test(`${name}: fails, ${why}`, () => judgeAllowed(name, why), LIMIT_MS)
    else test(name, () => judge(name), LIMIT_MS)
  }
  test("each script on the allow-list is there and is run", () => {
    expect([...may.keys()].filter((name) => !scripts.includes(name) || reasonOf(name) !== undefined)).toEqual([])
  })
}

async function judge(name: string): Promise<void> {
  expect(await outcomes.get(name)).toMatchObject({ code: 0 })
}

async function judgeAllowed(name: string, why: string): Promise<void> {
  const outcome = await outcomes.get(name)
  expect(outcome?.code).toBeOneOf([1, NO_EQUAL])
  // The list says which option it is.
  const [, option] = new RegExp(`^${NO_EQUAL_WORDS}(.*)$`, "m").exec(outcome?.output ?? "") ?? []
  if (option !== undefined) expect(why).toContain(option)
}

/** The broker's command as it was given, or compiled. */
async function fastCommand(): Promise<ReadonlyArray<string>> {
  if (process.env.MANIFOLD_TEST_COMMAND !== undefined) return brokerCommand()
  const file = join(folder, "manifold")
  const { code, stdout, stderr } = await run(process.execPath, ["scripts/compile.ts", "--outfile", file], {
    timeoutMs: FETCH_MS
  })
  if (code !== 0) throw new Error(`compile ended with ${code}\n${stdout}${stderr}`)
  return [file]
}

/** mosquitto's own certificates have expired: others under the same names. */
function writeCertificates(place: string): void {
  mkdirSync(place)
  const authority = makeAuthority()
  const client = { name: "test client" }
  for (const [name, { certificate, privateKey }] of [
    ["all-ca", authority],
    ["test-root-ca", authority],
    ["test-alt-ca", makeAuthority("another authority")],
    ["server", makeCertificate({ name: "localhost", hosts: ["localhost"] }, authority)],
    ["client", makeCertificate(client, authority)],
    ["client-expired", makeCertificate({ ...client, days: -1 }, authority)]
  ] as const) {
    writeFileSync(join(place, `${name}.crt`), certificate)
    writeFileSync(join(place, `${name}.key`), privateKey)
  }
}

/** Runs a script in a folder of its own, where it finds what lies beside it in the source. */
async function runScript(name: string, command: ReadonlyArray<string>): Promise<Outcome> {
  const place = join(folder, name)
  const beside = join(pathOf(source), "broker")
  mkdirSync(join(place, "broker"), { recursive: true })
  symlinkSync(join(folder, "ssl"), join(place, "ssl"))
  for (const file of readdirSync(beside).filter((each) => /\.(?:conf|pwfile)$/.test(each))) {
    writeFileSync(join(place, "broker", file), readFileSync(join(beside, file)))
  }
  const env = { MANIFOLD_COMMAND: JSON.stringify(command), MANIFOLD_ROOT: ROOT, PYTHONDONTWRITEBYTECODE: "1" }
  const words = [join(HERE, "run_script.py"), pathOf(source), place, name]
  const { code, stdout, stderr } = await run(pathOf(tools.python), words, { env, timeoutMs: SCRIPT_MS })
  rmSync(place, { recursive: true, force: true })
  return { code, output: `${stdout}${stderr}` }
}
