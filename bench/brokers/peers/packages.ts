/**
 * The peers by package name and version, each with its registry's client, and where its program lies afterwards.
 *
 * mosquitto is taken as it is installed; where it is not, Debian's packages are unpacked into the cache folder: nothing is
 * installed into the system, no service is started.
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cacheFolder, type Installed, runSteps } from "./install.ts"

/** A package of a registry. */
export interface Package {
  readonly name: string
  readonly registry: string
  readonly version: string
  /** The client of the registry, which must be on this machine. */
  readonly needs: string
  /** The program, or undefined while it is not installed. */
  find(): Installed | undefined
  /** Installs it into `folder` (made, empty); returns why not, or undefined. */
  install(folder: string): string | undefined
}

const HERE = new URL(".", import.meta.url).pathname
/** Debian puts it where an ordinary user's PATH does not look. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/local/sbin"]
/** Debian's C library is the machine's own: two of them in one process do not go together. */
const NOT_UNPACKED = ["libc6", "adduser", "lsb-base", "sysvinit-utils"]

export const NATS_VERSION = "2.15.2"
export const RUMQTTD_VERSION = "0.20.0"
export const MOCHI_VERSION = "2.7.9"
export const AEDES_VERSION = "1.2.0"
export const AEDES_LEVEL_VERSION = "9.2.0"
export const LEVEL_VERSION = "10.0.0"

export const PACKAGES: readonly Package[] = [
  {
    name: "mosquitto",
    registry: "Debian",
    version: "the distribution's",
    needs: "apt-get",
    find: () => debianProgram("mosquitto"),
    install: installDebian
  },
  {
    name: "rumqttd",
    registry: "crates.io",
    version: RUMQTTD_VERSION,
    needs: "cargo",
    find: () => cached("rumqttd", "bin/rumqttd"),
    install: (folder) => {
      const target = join(folder, "target")
      const command = ["cargo", "install", `rumqttd@${RUMQTTD_VERSION}`, "--locked", "--root", folder]
      const reason = runSteps([{ command: [...command, "--target-dir", target], folder }])
      rmSync(target, { recursive: true, force: true })
      return reason
    }
  },
  {
    name: "nats-server",
    registry: "Go module proxy",
    version: NATS_VERSION,
    needs: "go",
    find: () => cached("nats-server", "nats-server"),
    install: (folder) =>
      runSteps([
        {
          command: ["go", "install", `github.com/nats-io/nats-server/v2@v${NATS_VERSION}`],
          folder,
          environment: { GOBIN: folder }
        }
      ])
  },
  {
    name: "mochi-mqtt",
    registry: "Go module proxy",
    version: MOCHI_VERSION,
    needs: "go",
    find: () => cached("mochi-mqtt", "mochi"),
    install: (folder) => {
      copyFileSync(join(HERE, "mochi.go.txt"), join(folder, "main.go"))
      return runSteps([
        { command: ["go", "mod", "init", "bench/mochi"], folder },
        { command: ["go", "get", `github.com/mochi-mqtt/server/v2@v${MOCHI_VERSION}`], folder },
        { command: ["go", "mod", "tidy"], folder },
        { command: ["go", "build", "-o", "mochi", "."], folder }
      ])
    }
  },
  {
    name: "aedes",
    registry: "npm",
    version: AEDES_VERSION,
    needs: "npm",
    find: () => {
      const node = Bun.which("node")
      const isThere = existsSync(join(aedesFolder(), "node_modules/level/package.json"))
      return node !== null && isThere ? { path: node, environment: {} } : undefined
    },
    install: (folder) => {
      writeFileSync(join(folder, "package.json"), '{ "private": true }\n')
      const packages = [
        `aedes@${AEDES_VERSION}`,
        `aedes-persistence-level@${AEDES_LEVEL_VERSION}`,
        `level@${LEVEL_VERSION}`
      ]
      const quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
      return runSteps([{ command: ["npm", "install", ...packages, ...quiet], folder }])
    }
  }
]

/** Where aedes and its level persistence are installed. */
export function aedesFolder(): string {
  return join(cacheFolder(), "aedes")
}

/** The package called `name`. */
export function packageNamed(name: string): Package {
  const found = PACKAGES.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`there is no peer ${name}`)
  return found
}

/** Installs what is not there; returns one line a package that says what there is, or why not. */
export function installAll(tell: (line: string) => void): void {
  for (const wanted of PACKAGES) {
    const title = `${wanted.name} ${wanted.version} (${wanted.registry})`
    if (wanted.find() !== undefined) {
      tell(`${title}: there`)
      continue
    }
    if (Bun.which(wanted.needs) === null) {
      tell(`${title}: left out, there is no ${wanted.needs} on this machine`)
      continue
    }
    tell(`${title}: being installed with ${wanted.needs}`)
    const folder = join(cacheFolder(), wanted.name)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const reason = wanted.install(folder)
    if (reason === undefined && wanted.find() !== undefined) continue
    tell(`${title}: left out, ${reason ?? "the install ended well but brought no program"}`)
  }
}

/** A program in the cache folder. */
function cached(name: string, path: string): Installed | undefined {
  const file = join(cacheFolder(), name, path)
  return existsSync(file) ? { path: file, environment: {} } : undefined
}

/** A program of the system's, else of the packages that were unpacked into the cache folder. */
export function debianProgram(name: string): Installed | undefined {
  const inPath = Bun.which(name)
  const system = inPath ?? SYSTEM_FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path))
  if (system !== undefined && system !== null) return { path: system, environment: {} }
  const root = join(cacheFolder(), name)
  const path = join(root, "usr/sbin", name)
  if (!existsSync(path)) return undefined
  return { path, environment: { LD_LIBRARY_PATH: libraryFolders(root).join(":") } }
}

/** The folders under `root` that hold shared libraries. */
function libraryFolders(root: string): string[] {
  const folders = ["lib", "usr/lib"].map((part) => join(root, part)).filter((folder) => existsSync(folder))
  return folders.flatMap((folder) => {
    const triplets = readdirSync(folder).filter((name) => name.includes("-linux-"))
    return triplets.map((name) => join(folder, name))
  })
}

function installDebian(folder: string): string | undefined {
  const said = (() => {
    try {
      return execFileSync("apt-cache", ["depends", "mosquitto"], { encoding: "utf8" })
    } catch {
      return undefined
    }
  })()
  if (said === undefined) return "apt-cache knows no mosquitto: run apt-get update first"
  const packages = ["mosquitto", ...dependenciesOf(said)].filter((name) => !NOT_UNPACKED.includes(name))
  const reason = runSteps([{ command: ["apt-get", "download", ...packages], folder }])
  if (reason !== undefined) return reason
  const files = readdirSync(folder).filter((name) => name.endsWith(".deb"))
  return runSteps(files.map((file) => ({ command: ["dpkg", "-x", file, folder], folder })))
}

/** The names behind `Depends:` in what `apt-cache depends` says; alternatives (indented further) are left out. */
export function dependenciesOf(said: string): string[] {
  return [...said.matchAll(/^ {2}Depends: (\S+)$/gm)].map((match) => match[1] ?? "")
}
