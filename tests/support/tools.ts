/**
 * Finds the foreign programs that tests drive, and skips with a reason what cannot run without them.
 *
 * Nothing is installed here: a missing tool is a skipped test whose name ends with the reason, so that skips are counted.
 */
import { test } from "bun:test"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { type Ended, ROOT } from "./broker.ts"
import { programPath } from "./runtime.ts"
import { within } from "./until.ts"

/** A program's path, or why there is none. */
export type Tool = { readonly path: string } | { readonly missing: string }

function onPath(name: string): Tool {
  const path = programPath(name)
  return path === undefined ? { missing: `${name} is not installed` } : { path }
}

/** The interpreter itself, where `python3` is a script that looks for one: it is asked once instead of at each start. */
function pythonItself(): Tool {
  const found = onPath("python3")
  if ("missing" in found) return found
  const { stdout } = spawnSync(found.path, ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" })
  const path = (stdout ?? "").trim()
  return existsSync(path) ? { path } : { missing: "python3 does not start" }
}

function pythonWith(module: string): Tool {
  const path = join(ROOT, ".venv/bin/python")
  if (!existsSync(path)) return { missing: "there is no .venv with tests/support/requirements.txt" }
  const found = spawnSync(path, ["-c", `import ${module}`], { stdio: "ignore" })
  return found.status === 0 ? { path } : { missing: `.venv has no module ${module}` }
}

export const tools = {
  kcat: onPath("kcat"),
  mosquitto: onPath("mosquitto"),
  mosquittoPub: onPath("mosquitto_pub"),
  mosquittoSub: onPath("mosquitto_sub"),
  mosquittoRr: onPath("mosquitto_rr"),
  node: onPath("node"),
  python: pythonItself(),
  pythonPaho: pythonWith("paho.mqtt.client"),
  pythonAiokafka: pythonWith("aiokafka"),
  pythonConfluent: pythonWith("confluent_kafka"),
  pythonKafka: pythonWith("kafka")
} satisfies Record<string, Tool>

/** The tool's path; only inside a test that {@link testWith} let run. */
export function pathOf(tool: Tool): string {
  if ("missing" in tool) throw new Error(tool.missing)
  return tool.path
}

/** A test that needs `needed`; skipped, with the reason in its name, where one of them is missing. */
export function testWith(
  needed: ReadonlyArray<Tool>,
  name: string,
  body: () => Promise<void>,
  timeoutMs = 20_000
): void {
  const reasons = needed.flatMap((tool) => ("missing" in tool ? [tool.missing] : []))
  if (reasons.length > 0) test.skip(`${name} [skipped: ${reasons.join("; ")}]`, body)
  else test(name, body, timeoutMs)
}

/** Runs a program to its end and returns what it wrote. */
export async function run(
  path: string,
  args: ReadonlyArray<string>,
  options: {
    readonly input?: string | Uint8Array
    readonly timeoutMs?: number
    readonly env?: Record<string, string>
  } = {}
): Promise<Ended> {
  const started = start(path, args, options.env)
  started.child.stdin?.end(options.input ?? "")
  return await started.end(options.timeoutMs ?? 15_000)
}

/** A program that runs beside the test. */
export interface Started {
  readonly child: ChildProcess
  stdout(): string
  stderr(): string
  /** Waits for its end; kills it when that takes too long. */
  end(timeoutMs?: number): Promise<Ended>
  /** Ends it now. */
  kill(): void
}

/** Starts a program beside the test; end it with `end` or `kill`. */
export function start(path: string, args: ReadonlyArray<string>, env: Record<string, string> = {}): Started {
  const child = spawn(path, args, { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  child.stdin.on("error", () => {})
  const end = new Promise<Ended>((done, fail) => {
    child.once("error", fail)
    child.once("close", (code, signal) => done({ code, signal, stdout, stderr }))
  })
  end.catch(() => {})
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    end: async (timeoutMs = 15_000) => {
      try {
        return await within(`the end of ${path} ${args.join(" ")}`, end, timeoutMs)
      } catch (error) {
        throw new Error(`${String(error)}\nstdout: ${stdout.slice(-2_000)}\nstderr: ${stderr.slice(-2_000)}`)
      } finally {
        child.kill("SIGKILL")
      }
    },
    kill: () => {
      child.kill("SIGKILL")
    }
  }
}
