/**
 * Starts, watches and stops one broker process for black-box tests.
 *
 * The broker is driven through its command line alone: `manifold start`, the `ready` line on stdout, signals.
 * Every listener takes port 0, so suites never meet one another or a broker that is already there.
 *
 * Environment
 *  - MANIFOLD_TEST_COMMAND: another way to start it, for instance `dist/manifold-linux-x64` (split at spaces).
 *  - MANIFOLD_TEST_MQTT=host:port, MANIFOLD_TEST_KAFKA=host:port: no process is started; what needs that protocol alone runs against
 *    that broker, to try the tests themselves against another implementation.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { programCommand, programPath, ROOT } from "./runtime.ts"
import { until, within } from "./until.ts"

export interface Address {
  readonly host: string
  readonly port: number
}

export interface BrokerOptions {
  readonly shards?: number
  /** Text of a manifold.toml. */
  readonly config?: string
  /** Further `--set key=value`, after the ports; the later wins. */
  readonly set?: Record<string, string>
  /** Leaves out the four listener settings, so that `config` and `set` alone decide. */
  readonly ownListeners?: boolean
  /** Further environment variables. */
  readonly env?: Record<string, string>
  /** How long the ready line may take, in ms. */
  readonly readyMs?: number
}

/** The working directory of every broker that is started. */
export { ROOT }

const EXTERNAL = [
  ["protocol-mqtt.tcp", process.env.MANIFOLD_TEST_MQTT],
  ["protocol-kafka.tcp", process.env.MANIFOLD_TEST_KAFKA]
].flatMap(([name, address]) => (address === undefined ? [] : [[String(name), parseAddress(address)] as const]))
/** Whether another broker is tried, given by the environment. */
export const IS_EXTERNAL = EXTERNAL.length > 0

/** What starts the broker, before the word `start`. */
export function brokerCommand(): ReadonlyArray<string> {
  const given = process.env.MANIFOLD_TEST_COMMAND
  return given === undefined ? programCommand("cli/main.ts") : given.split(" ")
}

/** Whether the broker runs on Deno, which words some faults of plugins otherwise. */
export const RUNS_ON_DENO = brokerCommand().some((word) => /(?:^|\/)deno$/.test(word))

/** Both shard counts that every end-to-end suite runs with; under Deno two alone, which is all that one shard is, and the link. */
export const SHARD_COUNTS: ReadonlyArray<number> = IS_EXTERNAL ? [1] : RUNS_ON_DENO ? [2] : [1, 2]

const LISTENERS: Record<string, string> = {
  "protocol-mqtt.tcp": "127.0.0.1:0",
  "protocol-mqtt.websocket": "127.0.0.1:0",
  "protocol-kafka.tcp": "127.0.0.1:0",
  "admin-http.tcp": "127.0.0.1:0"
}

export function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(":")
  const port = Number(text.slice(colon + 1))
  if (colon < 1 || !Number.isInteger(port)) throw new Error(`no address: ${text}`)
  return { host: text.slice(0, colon), port }
}

/** Every `plugin.listener=address` of a ready line; of several addresses the first. */
export function parseReady(line: string): Map<string, Address> {
  const found = new Map<string, Address>()
  for (const match of line.matchAll(/(?:^|\s)([a-z][\w-]*\.\w+)=([^\s,]+:\d+)(?=[\s,]|$)/g)) {
    found.set(String(match[1]), parseAddress(String(match[2])))
  }
  return found
}

/** The outcome of a process that ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line to its end: for starts that must fail. */
export async function runCommand(args: ReadonlyArray<string>, timeoutMs = 15_000): Promise<Ended> {
  const [command, ...first] = brokerCommand()
  const child = spawn(String(command), [...first, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] })
  const output = collect(child)
  try {
    const [code, signal] = await within(`the end of ${args.join(" ")}`, ended(child), timeoutMs)
    return { code, signal, stdout: output.stdout(), stderr: output.stderr() }
  } finally {
    child.kill("SIGKILL")
  }
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((done, fail) => {
    child.once("error", fail)
    child.once("close", (code, signal) => done([code, signal]))
  })
}

function collect(child: ChildProcess): { stdout: () => string; stderr: () => string } {
  let stdout = ""
  let stderr = ""
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  return { stdout: () => stdout, stderr: () => stderr }
}

export class Broker {
  /** Of the listeners, by `plugin.listener`, with the real ports. */
  readonly addresses: Map<string, Address>
  readonly readyLine: string
  readonly dataDirectory: string
  /** From the start of the process to its ready line, in ms. */
  readonly startMs: number
  readonly #child: ChildProcess | undefined
  readonly #output: { stdout: () => string; stderr: () => string }
  readonly #end: Promise<[number | null, NodeJS.Signals | null]>
  #hasEnded = false

  constructor(
    child: ChildProcess | undefined,
    output: { stdout: () => string; stderr: () => string },
    end: Promise<[number | null, NodeJS.Signals | null]>,
    addresses: Map<string, Address>,
    readyLine: string,
    dataDirectory: string,
    startMs: number
  ) {
    this.#child = child
    this.#output = output
    this.#end = end
    this.addresses = addresses
    this.readyLine = readyLine
    this.dataDirectory = dataDirectory
    this.startMs = startMs
    void end.then(() => {
      this.#hasEnded = true
    })
  }

  address(name: string): Address {
    const found = this.addresses.get(name)
    if (found === undefined) throw new Error(`the ready line has no ${name}: ${this.readyLine}`)
    return found
  }

  get mqtt(): Address {
    return this.address("protocol-mqtt.tcp")
  }
  get websocket(): Address {
    return this.address("protocol-mqtt.websocket")
  }
  get kafka(): Address {
    return this.address("protocol-kafka.tcp")
  }
  get http(): Address {
    return this.address("admin-http.tcp")
  }
  /** `host:port` of the Kafka listener, as clients take it. */
  get bootstrap(): string {
    return `${this.kafka.host}:${this.kafka.port}`
  }
  /** `http://host:port` of admin-http. */
  get url(): string {
    return `http://${this.http.host}:${this.http.port}`
  }

  get isExternal(): boolean {
    return this.#child === undefined
  }
  get isAlive(): boolean {
    return this.#child === undefined || !this.#hasEnded
  }
  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error("an external broker has no known process")
    return pid
  }
  get stderr(): string {
    return this.#output.stderr()
  }
  get stdout(): string {
    return this.#output.stdout()
  }

  /** Resident memory of the process, in bytes (Linux). */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8")
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  /** The text of /metrics. */
  async metrics(): Promise<string> {
    const answer = await fetch(`${this.url}/metrics`)
    expect(answer.status).toBe(200)
    return await answer.text()
  }

  /** The sum of a metric over the shards and labels; of the lines with `label`, as `name="value"`, where one is given. */
  async sumOf(metric: string, label = ""): Promise<number> {
    const lines = (await this.metrics()).split("\n").filter((line) => {
      const [name = ""] = line.split(/[{ ]/, 1)
      return name === metric && line.includes(label)
    })
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
  }

  signal(name: NodeJS.Signals): void {
    // Not by the child's own method: Deno then tells of the signal as its end, whatever it does.
    if (this.#child !== undefined && this.isAlive) process.kill(this.pid, name)
  }

  /** Waits for the end of the process. */
  async end(timeoutMs = 10_000): Promise<Ended> {
    const [code, signal] = await within("the end of the broker", this.#end, timeoutMs)
    return { code, signal, stdout: this.stdout, stderr: this.stderr }
  }

  /** Stops it gracefully and cleans up; throws when it does not end with exit code 0. */
  async stop(): Promise<void> {
    if (this.#child === undefined) return
    const wasAlive = this.isAlive
    this.signal("SIGTERM")
    try {
      const { code, signal, stderr } = await this.end()
      if (!wasAlive) throw new Error(`the broker died before it was stopped (${code ?? signal}):\n${stderr}`)
      if (code !== 0) throw new Error(`the broker ended with ${code ?? signal} after SIGTERM:\n${stderr}`)
    } finally {
      this.kill()
    }
  }

  /** Ends it at once, whatever its state, and removes its data. */
  kill(): void {
    this.#child?.kill("SIGKILL")
    rmSync(this.dataDirectory, { recursive: true, force: true })
  }
}

/** Ends a broker with the tests that started it, whatever ends them; where there is no such tool, it may be left behind. */
const TIED_TO_TESTS: ReadonlyArray<string> =
  programPath("setpriv") === undefined ? [] : ["setpriv", "--pdeathsig", "KILL", "--"]

/** Starts a broker in a data directory of its own and waits for its ready line. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const directory = mkdtempSync(join(tmpdir(), "manifold-test-"))
  if (IS_EXTERNAL) {
    const addresses = new Map(EXTERNAL)
    const never = new Promise<[number | null, NodeJS.Signals | null]>(() => {})
    return new Broker(undefined, { stdout: () => "", stderr: () => "" }, never, addresses, "external", directory, 0)
  }
  const settings: Record<string, string> = {
    "node.shards": String(options.shards ?? 1),
    "node.data": join(directory, "data"),
    ...(options.ownListeners === true ? {} : LISTENERS),
    ...options.set
  }
  const args = ["start"]
  if (options.config !== undefined) {
    const file = join(directory, "manifold.toml")
    writeFileSync(file, options.config)
    args.push("--config", file)
  }
  for (const [key, value] of Object.entries(settings)) args.push("--set", `${key}=${value}`)
  const [command, ...first] = [...TIED_TO_TESTS, ...brokerCommand()]
  const startedAt = performance.now()
  const env = { ...process.env, ...options.env }
  const child = spawn(String(command), [...first, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env })
  const output = collect(child)
  const end = ended(child)
  const ready = new Promise<string>((done, fail) => {
    child.stdout?.on("data", () => {
      const line = /^ready.*$/m.exec(output.stdout().slice(0, output.stdout().lastIndexOf("\n") + 1))
      if (line !== null) done(line[0])
    })
    end.then(
      ([code, signal]) =>
        fail(new Error(`the broker ended (${code ?? signal}) before it was ready:\n${output.stderr()}`)),
      fail
    )
  })
  try {
    const line = await within("the ready line", ready, options.readyMs ?? 15_000)
    const startMs = performance.now() - startedAt
    return new Broker(child, output, end, parseReady(line), line, directory, startMs)
  } catch (error) {
    child.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

/** Words that a healthy broker never writes to its log. */
const CRASH_WORDS = /InvariantViolation|uncaught|unhandled|TypeError|RangeError|ReferenceError|Segmentation/i

/** What must be 0 again when every client has gone. */
const PASSING_GAUGES =
  /^manifold_(?:mqtt_connections|mqtt_output_bytes|forwarded_connections|kafka_connections|kafka_fetches_waiting) (\d+)$/gm

/** Waits until nothing of the clients that went is left in the broker. */
export async function settled(broker: Broker, gauges: RegExp = PASSING_GAUGES): Promise<void> {
  if (broker.isExternal || !broker.addresses.has("admin-http.tcp")) return
  await until("gauges of clients at 0", async () => {
    const found = [...(await broker.metrics()).matchAll(gauges)]
    return found.length > 0 && found.every((match) => match[1] === "0")
  })
}

/**
 * A suite that runs once for each shard count against a broker of its own, started before its first test. After its last test
 * that broker must be alive, must hold nothing of its clients, must have logged no crash, and must stop with exit code 0.
 */
export function brokerSuite(
  name: string,
  options: BrokerOptions,
  body: (broker: () => Broker, shards: number) => void
): void {
  for (const shards of SHARD_COUNTS) {
    describe(`${name}, shards = ${shards}`, () => {
      let broker: Broker | undefined
      beforeAll(async () => {
        broker = await startBroker({ ...options, shards })
      }, 20_000)
      afterAll(async () => {
        if (broker === undefined) return
        const isAlive = broker.isAlive
        const log = broker.stderr
        try {
          if (isAlive) await settled(broker)
        } finally {
          await broker.stop()
        }
        expect(isAlive).toBe(true)
        expect(CRASH_WORDS.exec(log)?.[0]).toBeUndefined()
      }, 20_000)
      body(() => {
        if (broker === undefined) throw new Error("the broker did not start")
        return broker
      }, shards)
    })
  }
}
