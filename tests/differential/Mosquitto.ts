/** A mosquitto of its own for the tests that compare with it: no file but its configuration, no limits that the standard does not have. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Address } from "../support/broker.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { pathOf, type Tool, tools } from "../support/tools.ts"
import { sleep } from "../support/until.ts"

/** What the table of explained differences speaks of: another version may have lost these faults, or have others. */
export const VERSION = "2.0.11"

/** The mosquitto that the comparison needs, or why there is none. */
export function comparedMosquitto(): Tool {
  if ("missing" in tools.mosquitto) return tools.mosquitto
  const { stdout } = spawnSync(tools.mosquitto.path, ["-h"], { encoding: "utf8" })
  const found = /^mosquitto version (\S+)/m.exec(stdout)?.[1]
  return found === VERSION
    ? tools.mosquitto
    : { missing: `mosquitto is ${found}; differences are known for ${VERSION}` }
}

const SETTINGS = [
  "allow_anonymous true",
  // Without it a 3.1.1 client gets one copy of overlapping subscriptions, at the QoS of whichever comes first.
  "allow_duplicate_messages true",
  "persistence false",
  "max_inflight_messages 0",
  "max_queued_messages 0",
  "max_inflight_bytes 0",
  "max_queued_bytes 0",
  "set_tcp_nodelay true",
  "sys_interval 0",
  "log_type none"
]

export class Mosquitto {
  readonly address: Address
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(address: Address, child: ChildProcess, folder: string) {
    this.address = address
    this.#child = child
    this.#folder = folder
  }

  /** Starts one and waits until it takes clients. */
  static async start(): Promise<Mosquitto> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort()
      const folder = mkdtempSync(join(tmpdir(), "manifold-mosquitto-"))
      const file = join(folder, "mosquitto.conf")
      writeFileSync(file, [`listener ${port} 127.0.0.1`, ...SETTINGS, ""].join("\n"))
      const child = spawn(pathOf(tools.mosquitto), ["-c", file], { stdio: "ignore" })
      const broker = new Mosquitto({ host: "127.0.0.1", port }, child, folder)
      if (await broker.#takesClients()) return broker
      broker.stop()
      // Somebody else may have had the port in the meantime.
      if (attempt === 3) throw new Error("mosquitto does not take clients")
    }
  }

  async #takesClients(): Promise<boolean> {
    for (let attempt = 0; attempt < 200 && this.isAlive; attempt++) {
      try {
        const client = await RawMqtt.connect(this.address)
        await client.disconnect()
        return true
      } catch {
        await sleep(25)
      }
    }
    return false
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  stop(): void {
    this.#child.kill("SIGKILL")
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
    server.once("error", fail)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
}
