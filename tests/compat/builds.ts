/**
 * Clients that have to be compiled, in `go/` and `java/`: from their exact versions into `.cache/compat`. `.ci/run` does it with the registries
 * at hand; here it is done again for what was changed since, with what this machine has already, or not at all.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { kafkaLibraries, kafkaMissing } from "../../bench/brokers/kafka/libraries.ts"
import { ROOT } from "../support/broker.ts"
import { programPath } from "../support/runtime.ts"
import type { Tool } from "../support/tools.ts"

const CACHE = join(ROOT, ".cache/compat")
/** A build that takes longer is given up, ms. */
const BUILD_MS = 120_000

/** The client whose source is `go/<name>`. */
export function goClient(name: string): Tool {
  return goProgram(name, ["build", "-o", join(CACHE, "go", name), `./${name}`])
}

/** The tests of the package itself, as one program. */
export function goTests(name: string, package_: string): Tool {
  // They expect port 1883: only where an address of their own is to be had.
  if (process.platform !== "linux") return { missing: `${name} needs the loopback addresses of Linux` }
  return goProgram(name, ["test", "-c", "-o", join(CACHE, "go", name), package_])
}

function goProgram(name: string, args: ReadonlyArray<string>): Tool {
  // Where its own archive is unpacked to, beside /usr/local/bin.
  const go = programPath("go") ?? programPath("../go/bin/go")
  if (go === undefined) return { missing: "go is not installed" }
  const path = join(CACHE, "go", name)
  const source = join(ROOT, "tests/compat/go")
  if (isNewerThan(path, source)) return { path }
  const env = { ...process.env, GOPROXY: "off", GOFLAGS: "-mod=readonly", GOTOOLCHAIN: "local" }
  const { status } = spawnSync(go, ["-C", source, ...args], { env, stdio: "ignore", timeout: BUILD_MS })
  return status === 0 ? { path } : { missing: "tests/compat/go is not built: go -C tests/compat/go mod download" }
}

/** The programs of `java/`; {@link javaArguments} run one. */
export function javaClient(): Tool {
  const java = programPath("java")
  if (java === undefined) return { missing: "java is not installed" }
  const source = join(ROOT, "tests/compat/java")
  if (isNewerThan(join(CACHE, "java/classes/compat/KafkaSuite.class"), source)) return { path: java }
  const mvn = programPath("mvn")
  const { status } =
    mvn === undefined
      ? { status: 1 }
      : spawnSync(mvn, ["-o", "-q", "-B", "-f", source, "compile"], { stdio: "ignore", timeout: BUILD_MS })
  return status === 0 ? { path: java } : { missing: "tests/compat/java is not built: mvn -f tests/compat/java compile" }
}

export function javaArguments(program: "Suite" | "KafkaSuite", what: string): ReadonlyArray<string> {
  const path = [join(CACHE, "java/classes"), join(CACHE, "java/libraries/*")]
  return ["-cp", path.join(process.platform === "win32" ? ";" : ":"), `compat.${program}`, what]
}

/** Apache Kafka's own client, where its jars are; a program of `java-kafka/` is compiled as it is run. */
export function kafkaJava(): Tool {
  const missing = kafkaMissing()
  const java = programPath("java")
  if (missing !== undefined || java === undefined) return { missing: missing ?? "java is not installed" }
  return { path: java }
}

export function kafkaJavaArguments(program: string): ReadonlyArray<string> {
  // A short program is over before the better compiler is done.
  return [
    "-XX:TieredStopAtLevel=1",
    "-cp",
    join(kafkaLibraries() ?? "", "*"),
    join(ROOT, "tests/compat/java-kafka", `${program}.java`)
  ]
}

/** Whether the file is there and no file of the folder was changed since. */
function isNewerThan(path: string, folder: string): boolean {
  if (!existsSync(path)) return false
  const { mtimeMs } = statSync(path)
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .every((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs <= mtimeMs)
}
