/** A mosquitto beside a test: started with a configuration of its own, stopped, killed, and started again over what it has saved. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { type AddressInfo, connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Address } from "./broker.ts"
import { pathOf, tools } from "./tools.ts"
import { sleep, until } from "./until.ts"

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

export interface MosquittoOptions {
  /** Further lines, behind those of the listener. */
  readonly lines?: ReadonlyArray<string>
  /** In place of `allow_anonymous true`. */
  readonly access?: ReadonlyArray<string>
}

export class Mosquitto {
  readonly address: Address
  readonly directory: string
  #child: ChildProcess | undefined
  #log = ""

  private constructor(address: Address, directory: string) {
    this.address = address
    this.directory = directory
  }

  static async start({ lines = [], access = ["allow_anonymous true"] }: MosquittoOptions = {}): Promise<Mosquitto> {
    const directory = mkdtempSync(join(tmpdir(), "manifold-mosquitto-"))
    const port = await freePort()
    const config = [
      `listener ${port} 127.0.0.1`,
      ...lines,
      ...access,
      "user root",
      "persistence true",
      `persistence_location ${directory}/`,
      // It saves when it is told to: all that it has with each change takes longer than the tests do.
      "autosave_interval 0",
      "max_queued_messages 0"
    ]
    writeFileSync(join(directory, "mosquitto.conf"), `${config.join("\n")}\n`)
    const made = new Mosquitto({ host: "127.0.0.1", port }, directory)
    await made.again()
    return made
  }

  get log(): string {
    return this.#log
  }

  get remote(): string {
    return `${this.address.host}:${this.address.port}`
  }

  /** Starts it over what it has saved. */
  async again(): Promise<void> {
    const child = spawn(pathOf(tools.mosquitto), ["-c", join(this.directory, "mosquitto.conf")], { stdio: "pipe" })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#log = (this.#log + text).slice(-200_000)
      })
    }
    await until("mosquitto to listen", async () => {
      if (child.exitCode !== null) throw new Error(`mosquitto ended:\n${this.#log.slice(-2_000)}`)
      return await answers(this.address)
    })
  }

  /** Ends it in order: it saves all that it has. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM")
  }

  /**
   * Ends it at once. What mosquitto acknowledges is not on its disk by then: it saves when it has answered. So it is told to save
   * first, while nobody can hear its answers; what it has acknowledged to anybody it has after this.
   */
  async saveAndKill(): Promise<void> {
    const file = join(this.directory, "mosquitto.db")
    const before = changedAt(file)
    this.#child?.kill("SIGUSR1")
    await until("mosquitto to save", () => changedAt(file) !== before)
    // It writes another file and renames it: what is there now is whole.
    await this.#end("SIGKILL")
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL")
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((done) => child.once("close", done))
    child.kill(signal)
    await ended
  }
}

function changedAt(file: string): number {
  try {
    return statSync(file, { bigint: false }).mtimeMs
  } catch {
    return 0
  }
}

async function answers({ host, port }: Address): Promise<boolean> {
  const socket = connect({ host, port })
  const isOpen = await new Promise<boolean>((done) => {
    socket.once("connect", () => done(true))
    socket.once("error", () => done(false))
  })
  socket.destroy()
  if (!isOpen) await sleep(20)
  return isOpen
}
