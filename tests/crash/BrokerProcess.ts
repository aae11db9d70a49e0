/**
 * One broker process on a data directory that outlives it: started, killed with SIGKILL, started again.
 *
 * Unlike `tests/support/broker.ts`, which gives each broker a directory of its own and removes it, this leaves the directory alone.
 * Every listener takes port 0. The process ends with the tests that started it where `setpriv` is there.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { type Address, brokerCommand, type Ended, parseReady, ROOT } from "../support/broker.ts"
import { programPath } from "../support/runtime.ts"
import { sleep, within } from "../support/until.ts"

const LISTENERS: Readonly<Record<string, string>> = {
  "protocol-mqtt.tcp": "127.0.0.1:0",
  "protocol-mqtt.websocket": "127.0.0.1:0",
  "protocol-kafka.tcp": "127.0.0.1:0",
  "admin-http.tcp": "127.0.0.1:0"
}

export interface StartOptions {
  /** The data directory. */
  readonly data: string
  /** A manifold.toml. */
  readonly config?: string
  readonly set?: Readonly<Record<string, string>>
  /** Instead of the command line's own program: what starts the broker, before the word `start`. */
  readonly command?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** What the command is run by: `["prlimit", "--fsize=1000000"]`. */
  readonly prefix?: ReadonlyArray<string>
  /** How long the ready line may take, ms. */
  readonly readyMs?: number
}

/** It ended before it was ready. */
export class StartFailed extends Error {
  override readonly name = "StartFailed"
  readonly ended: Ended

  constructor(ended: Ended) {
    super(`the broker ended (${ended.code ?? ended.signal}) before it was ready:\n${ended.stderr}`)
    this.ended = ended
  }
}

export class BrokerProcess {
  readonly child: ChildProcess
  readonly startedAtMs = performance.now()
  /** Time from the start of the process to its ready line, ms. */
  startMs = 0
  readonly #readyMs: number
  #stdout = ""
  #stderr = ""
  readonly #ended: Promise<Ended>
  #hasEnded = false
  #addresses = new Map<string, Address>()

  /** Starts the process; {@link BrokerProcess.ready} waits for it. */
  constructor(options: StartOptions) {
    const tied = programPath("setpriv") === undefined ? [] : ["setpriv", "--pdeathsig", "KILL", "--"]
    const [command = "", ...first] = [...tied, ...(options.prefix ?? []), ...(options.command ?? brokerCommand())]
    const args = [...first, "start", "--data", options.data]
    if (options.config !== undefined) args.push("--config", options.config)
    for (const [key, value] of Object.entries({ ...LISTENERS, ...options.set })) args.push("--set", `${key}=${value}`)
    const env = { ...process.env, ...options.env }
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env })
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text
    })
    this.child = child
    this.#readyMs = options.readyMs ?? 20_000
    this.#ended = new Promise<Ended>((done, fail) => {
      child.once("error", fail)
      child.once("close", (code, signal) => {
        this.#hasEnded = true
        done({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
    this.#ended.catch(() => {})
  }

  /** Starts it and waits for its ready line. */
  static async start(options: StartOptions): Promise<BrokerProcess> {
    const broker = new BrokerProcess(options)
    await broker.ready()
    return broker
  }

  /** Waits for the ready line; throws {@link StartFailed} where the process ends first. */
  async ready(): Promise<this> {
    const end = performance.now() + this.#readyMs
    for (;;) {
      const line = /^ready.*(?=\n)/m.exec(this.#stdout)?.[0]
      if (line !== undefined) {
        this.#addresses = parseReady(line)
        this.startMs = performance.now() - this.startedAtMs
        return this
      }
      if (this.#hasEnded) throw new StartFailed(await this.#ended)
      if (performance.now() > end) {
        this.child.kill("SIGKILL")
        throw new Error(`no ready line within ${this.#readyMs} ms:\n${this.#stderr}`)
      }
      await sleep(5)
    }
  }

  get mqtt(): Address {
    return this.#address("protocol-mqtt.tcp")
  }
  get kafka(): Address {
    return this.#address("protocol-kafka.tcp")
  }
  get http(): Address {
    return this.#address("admin-http.tcp")
  }
  get isAlive(): boolean {
    return !this.#hasEnded
  }
  get stderr(): string {
    return this.#stderr
  }
  /** The broker's own process: `setpriv` and `prlimit` become what they run. */
  get pid(): number {
    const { pid } = this.child
    if (pid === undefined) throw new Error("the broker did not start")
    return pid
  }

  /** kill -9; settles when the process is gone. */
  async kill(): Promise<Ended> {
    this.child.kill("SIGKILL")
    return await this.end()
  }

  /** The graceful stop; throws unless it ends with exit code 0. */
  async stop(): Promise<Ended> {
    if (this.isAlive) process.kill(this.pid, "SIGTERM")
    const ended = await this.end(20_000)
    if (ended.code !== 0) throw new Error(`ended with ${ended.code ?? ended.signal} after SIGTERM:\n${ended.stderr}`)
    return ended
  }

  async end(timeoutMs = 10_000): Promise<Ended> {
    return await within("the end of the broker", this.#ended, timeoutMs)
  }

  #address(name: string): Address {
    const found = this.#addresses.get(name)
    if (found === undefined) throw new Error(`the ready line has no ${name}`)
    return found
  }
}
