/**
 * Eclipse mosquitto, where it is installed: once prepared for load (as many brokers are by default), once as it comes.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Broker } from "./Broker.ts"
import { accepting, BROKER_CORE, freePort, launch } from "./launch.ts"

/** Debian puts it where an ordinary user's PATH does not look. */
const PROGRAM =
  Bun.which("mosquitto") ?? ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].find((path) => existsSync(path))

const PREPARED = ["set_tcp_nodelay true", "max_inflight_messages 1000", "max_queued_messages 0", "persistence false"]

/** No queue limit, 1,000 in flight, no Nagle, no persistence. */
export const mosquitto = (): Broker => broker("mosquitto", PREPARED)
/** What a new installation does. */
export const mosquittoDefault = (): Broker => broker("mosquitto-default", [])

function broker(name: string, settings: readonly string[]): Broker {
  return {
    name,
    storage: "none, in process",
    missing: () => (PROGRAM === undefined ? "mosquitto is not installed" : undefined),
    about: () => version(),
    start: async () => {
      if (PROGRAM === undefined) throw new Error("mosquitto is not installed")
      const folder = mkdtempSync(join(tmpdir(), "manifold-bench-"))
      const port = await freePort()
      const file = join(folder, "mosquitto.conf")
      // Started by root it would change to a user that cannot read the folder.
      const user = process.getuid?.() === 0 ? ["user root"] : []
      const lines = [`listener ${port} 127.0.0.1`, "allow_anonymous true", ...user, ...settings]
      writeFileSync(file, `${lines.join("\n")}\n`)
      const child = launch([PROGRAM, "-c", file], BROKER_CORE)
      const stop = async (): Promise<void> => {
        await child.stop()
        rmSync(folder, { recursive: true, force: true })
      }
      try {
        await accepting(port)
      } catch (error) {
        await stop()
        throw error
      }
      return { pid: child.pid, port, stop }
    }
  }
}

function version(): string {
  if (PROGRAM === undefined) return "not installed"
  const help = (() => {
    try {
      return execFileSync(PROGRAM, ["-h"], { encoding: "utf8" })
    } catch (error) {
      // Some versions end their help with exit code 1.
      return String((error as { stdout?: unknown }).stdout ?? "")
    }
  })()
  return help.split("\n")[0]?.trim() || "version unknown"
}
