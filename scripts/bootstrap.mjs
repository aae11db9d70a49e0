/**
 * What every command needs before it can run: the packages of package.json at their exact versions, among them the pinned Bun.
 *
 * Plain JavaScript without dependencies, because it runs on a fresh clone under Node >= 20 or under any Bun. It writes to stderr only:
 * stdout belongs to the command.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..")
const MODULES = join(ROOT, "node_modules")
const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
/** One Ctrl-C reaches us from the terminal and again from npm: signals this close together are one. */
const SAME_SIGNAL_MS = 1_000
const PARENT_CHECK_MS = 250

/** A line that says what to do; the command ends with exit code 1. */
export class BootstrapError extends Error {}

/** Installs what is missing. `everything` = the development tools too, else only what the broker itself needs. */
export function ensureInstalled(everything) {
  const needed = { ...MANIFEST.dependencies, ...(everything ? MANIFEST.devDependencies : {}) }
  const missing = Object.entries(needed).filter(([name, version]) => installedVersion(name) !== version)
  if (missing.length === 0) return
  process.stderr.write(`installing ${missing.length === 1 ? missing[0]?.join(" ") : `${missing.length} packages`}\n`)
  const [command, ...args] = installer(process.env, process.versions.bun !== undefined, existsSync(MODULES))
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2] })
  if (error) throw new BootstrapError(`cannot run ${command}: ${error.message}`)
  if (status !== 0) throw new BootstrapError(`${[command, ...args].join(" ")} ended with ${status}`)
}

function installedVersion(name) {
  try {
    return JSON.parse(readFileSync(join(MODULES, name, "package.json"), "utf8")).version
  } catch {
    return undefined
  }
}

/**
 * The command that installs: of the package manager that we were started by, npm where nobody says. `runsOnBun` = this process is
 * Bun, `again` = there are packages already.
 */
export function installer(environment, runsOnBun, again) {
  const manager = environment.npm_execpath ?? ""
  const startedByBun = (environment.npm_config_user_agent ?? "").startsWith("bun/") && manager !== ""
  // Bun reads package-lock.json; it is told not to leave a second lock file beside it.
  if (runsOnBun || startedByBun) {
    return [runsOnBun ? process.execPath : manager, "install", "--no-save", "--no-summary"]
  }
  // `npm ci` would first delete what other running commands use.
  const options = [...(again ? ["install", "--no-save"] : ["ci"]), "--include=dev", "--no-audit", "--no-fund"]
  if (manager.endsWith(".js")) return [process.execPath, manager, ...options]
  return [process.platform === "win32" ? "npm.cmd" : "npm", ...options]
}

/**
 * The pinned Bun. npm may have refused the install script of the package `bun`, which leaves a placeholder in its place; the real
 * binary then lies in the package of this platform.
 */
export function bunPath(modules = MODULES, running = process.versions.bun) {
  const version = MANIFEST.dependencies.bun
  if (running === version) return process.execPath
  const folders = [
    join(modules, "bun", "bin"),
    ...foldersIn(join(modules, "@oven")).map((folder) => join(folder, "bin"))
  ]
  const path = firstThatSays(version, "bun", folders)
  if (path === undefined) throw missing(`Bun ${version}`)
  return path
}

/** The pinned Deno, likewise; it is one of the development tools. */
export function denoPath(modules = MODULES) {
  const version = MANIFEST.devDependencies.deno
  const path = firstThatSays(`deno ${version}`, "deno", [join(modules, "deno"), ...foldersIn(join(modules, "@deno"))])
  if (path === undefined) throw missing(`Deno ${version}`)
  return path
}

function foldersIn(folder) {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
}

/** The first of the folders' programs whose answer to --version begins with `version`, as words. */
function firstThatSays(version, program, folders) {
  for (const folder of folders) {
    for (const name of [`${program}.exe`, program]) {
      const path = join(folder, name)
      if (!existsSync(path)) continue
      const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" })
      if (status === 0 && `${stdout.trim()} `.replaceAll("\n", " ").startsWith(`${version} `)) return path
    }
  }
  return undefined
}

function missing(runtime) {
  return new BootstrapError(
    `no ${runtime} for ${process.platform} ${process.arch} in node_modules: delete node_modules and try again`
  )
}

/**
 * Runs a program in the foreground, from the root, and returns its exit code. It gets a process group of its own, so that a Ctrl-C
 * reaches it through us alone, once, and its exit code is ours.
 */
export function runProgram(program, args, stdin = "ignore") {
  const isPosix = process.platform !== "win32"
  const child = spawn(program, args, { cwd: ROOT, stdio: [stdin, "inherit", "inherit"], detached: isPosix })
  let lastMs = Number.NEGATIVE_INFINITY
  const forward = (signal) => {
    const nowMs = performance.now()
    if (nowMs - lastMs < SAME_SIGNAL_MS) return
    lastMs = nowMs
    child.kill(signal === "SIGHUP" ? "SIGTERM" : signal)
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => forward(signal))
  if (process.env.npm_lifecycle_event !== undefined) whenParentEnds(() => forward("SIGTERM"))
  return new Promise((done, fail) => {
    child.once("error", (error) => fail(new BootstrapError(`cannot run ${program}: ${error.message}`)))
    child.once("exit", (code, signal) => done(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

/** npm, or the shell that it put between us, may be ended without a word to us; what it started must not live on. */
function whenParentEnds(ended) {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    ended()
  }, PARENT_CHECK_MS)
  timer.unref()
}
