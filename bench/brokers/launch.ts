/**
 * Starts a process of the bench on a core of its own and waits until it is ready.
 *
 * Invariants
 *  - Broker on core 0, driver on core 1, where `taskset` exists and the machine has two cores; else nothing is pinned.
 *  - `taskset` replaces itself by the command, so the process id is the broker's own.
 *  - Whatever was started ends with this process.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createServer, type Server } from "node:net"
import { availableParallelism } from "node:os"

export const BROKER_CORE = 0
export const DRIVER_CORE = 1
/** A broker that is not ready by then is given up. */
const START_MS_MAX = 15_000
/** A process that does not end by then on SIGTERM is killed. */
const STOP_MS_MAX = 30_000
/** So much of stderr is kept to explain a failure, and so much of stdout while nobody asks for a line. */
const STDERR_CHARACTERS_MAX = 4000
const STDOUT_CHARACTERS_MAX = 1_000_000

const alive = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

/** Path of `taskset`, or undefined where processes cannot be pinned to two cores. */
export const taskset: string | undefined = availableParallelism() > 1 ? (Bun.which("taskset") ?? undefined) : undefined

/** The command line that runs `command` on `core`, or `command` itself where there is no pinning. */
export function pinned(command: readonly string[], core: number | undefined): string[] {
  return taskset === undefined || core === undefined ? [...command] : [taskset, "-c", String(core), ...command]
}

export interface Child {
  readonly pid: number
  /** Resolves with the first stdout line for which `find` gives a value; rejects when the process ends first. */
  line<Value>(find: (line: string) => Value | undefined): Promise<Value>
  /** SIGTERM, after some seconds SIGKILL; resolves when the process has ended. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
}

export interface LaunchOptions {
  /** Longer than this without the awaited line is a failure. */
  readonly silentMsMax?: number
  /** Variables beside those of this process. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Starts `command` on `core` with its stdout as lines; stderr is kept for errors only. */
export function launch(
  command: readonly string[],
  core: number | undefined,
  { silentMsMax = START_MS_MAX, environment }: LaunchOptions = {}
): Child {
  const [program, ...rest] = pinned(command, core)
  if (program === undefined) throw new Error("a command has a program")
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } })
  alive.add(child)
  let stdout = ""
  let stderr = ""
  let look: () => void = () => {}
  const ended = new Promise<void>((resolve) => {
    const finish = (): void => {
      alive.delete(child)
      resolve()
      look()
    }
    child.once("close", finish)
    child.once("error", (error) => {
      stderr += error.message
      finish()
    })
  })
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout = (stdout + text).slice(-STDOUT_CHARACTERS_MAX)
    look()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_CHARACTERS_MAX)
  })
  return {
    pid: child.pid ?? 0,
    line: (find) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`silent for ${silentMsMax} ms: ${stderr}`)), silentMsMax)
        look = () => {
          for (let end = stdout.indexOf("\n"); end >= 0; end = stdout.indexOf("\n")) {
            const found = find(stdout.slice(0, end))
            stdout = stdout.slice(end + 1)
            if (found === undefined) continue
            clearTimeout(timer)
            resolve(found)
            return
          }
          if (alive.has(child)) return
          clearTimeout(timer)
          reject(new Error(`it ended before it was ready: ${stderr.trim() || "no message"}`))
        }
        look()
      }),
    stop: async () => {
      if (!alive.has(child)) return
      child.kill("SIGTERM")
      const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX)
      await ended
      clearTimeout(killer)
    },
    kill: async () => {
      if (!alive.has(child)) return
      child.kill("SIGKILL")
      await ended
    }
  }
}

/** A port that was free a moment ago, for brokers that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server: Server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port")
  return address.port
}

/** Waits until something accepts connections on `port`; rejects at once when `child` has ended. */
export async function accepting(port: number, child: Child, waitMsMax = START_MS_MAX): Promise<void> {
  const endMs = performance.now() + waitMsMax
  let failure: Error | undefined
  // No line is wanted: only the end of the process, which rejects.
  child
    .line(() => undefined)
    .catch((error: Error) => {
      failure = error
    })
  while (performance.now() < endMs) {
    if (failure !== undefined) throw failure
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } })
      socket.end()
      return
    } catch {
      // Not yet; look again in a moment.
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  throw new Error(`nothing accepts connections on port ${port} after ${waitMsMax} ms`)
}
