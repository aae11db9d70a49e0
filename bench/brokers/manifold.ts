/**
 * Manifold itself: the compiled executable where `dist/` holds one for this machine, else from source.
 *
 * Twice: under the default manifest, where a PUBLISH makes its topic and every message is stored, and with
 * `topics.auto_create_mqtt=off`, where a message that nobody stores is routed and forgotten.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { denoPath } from "../../scripts/bootstrap.mjs"
import { fileName, hostTarget } from "../../scripts/packaging/targets.ts"
import type { Broker } from "./Broker.ts"
import { BROKER_CORE, launch } from "./launch.ts"

/** Which build is measured. `auto` takes the executable where there is one; `deno` is the source under Deno. */
export type Build = "auto" | "source" | "executable" | "deno"

const ROOT = new URL("../..", import.meta.url).pathname
const PROGRAM = join(ROOT, "cli/main.ts")
/** Every listener gets a port of its own; only MQTT over TCP is used. */
const PORTS = [
  "protocol-mqtt.tcp=127.0.0.1:0",
  "protocol-mqtt.websocket=127.0.0.1:0",
  "protocol-kafka.tcp=127.0.0.1:0",
  "admin-http.tcp=127.0.0.1:0"
]

/** Default manifest: a topic for every name, engine and mode memory. */
export const manifold = (build: Build): Broker => broker("manifold", "memory, memory", build, [])
/** No topics: what the router alone does. */
export const manifoldWithoutTopic = (build: Build): Broker =>
  broker("manifold-no-topic", "no topic", build, ["topics.auto_create_mqtt=off"])

function broker(name: string, storage: string, build: Build, settings: readonly string[]): Broker {
  return {
    name,
    storage,
    missing: () => {
      if (command(build) !== undefined) return undefined
      return build === "executable" ? "dist/ holds no executable for this machine" : "cli/main.ts is not there"
    },
    about: () => (command(build) ?? []).join(" ").replace(ROOT, ""),
    start: async () => {
      const program = command(build)
      if (program === undefined) throw new Error("there is nothing to start")
      const data = mkdtempSync(join(tmpdir(), "manifold-bench-"))
      const set = [...PORTS, ...settings].flatMap((setting) => ["--set", setting])
      const child = launch([...program, "start", "--data", data, ...set], BROKER_CORE)
      const stop = async (): Promise<void> => {
        await child.stop()
        rmSync(data, { recursive: true, force: true })
      }
      try {
        const port = await child.line((line) =>
          line.startsWith("ready") ? /protocol-mqtt\.tcp=\S*?:(\d+)/.exec(line)?.[1] : undefined
        )
        return { pid: child.pid, port: Number(port), stop }
      } catch (error) {
        await stop()
        throw error
      }
    }
  }
}

/** The command line up to the verb, or undefined where that build does not exist. */
function command(build: Build): string[] | undefined {
  if (build === "deno") return [denoPath(), "run", "-A", "--quiet", PROGRAM]
  const executable = build === "source" ? undefined : hostExecutable()
  if (executable !== undefined) return [executable]
  return build !== "executable" && existsSync(PROGRAM) ? [process.execPath, PROGRAM] : undefined
}

/** The executable in `dist/` that is for this machine. */
function hostExecutable(): string | undefined {
  const path = join(ROOT, "dist", fileName(hostTarget()))
  return existsSync(path) ? path : undefined
}
