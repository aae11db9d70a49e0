/**
 * The borders and habits of this repository, checked on its own source: who may import whom, where packages come from, how long a
 * file may be. What a linter can say stands in biome.json; `lint.test.ts` proves that it says it.
 */
import { expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, join, resolve } from "node:path"

const ROOT = resolve(import.meta.dir, "..")
const LINES_MAX = 400
/** Beside the product: they may use the development tools and look behind the public entries. */
const BESIDE = /\.(?:test|bench|fuzz)\.ts$|\/fakes\.ts$|\/testing\.ts$|\/planted\.ts$|[/-]arbitrar(?:y|ies)\.ts$/

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8")
const find = (...patterns: ReadonlyArray<string>): ReadonlyArray<string> =>
  patterns.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)].toSorted())
const product = find("mod.ts", "{core,plugins,cli,embedded}/**/*.ts").filter((path) => !BESIDE.test(path))
const examples = find("examples/**/*.ts").filter((path) => !path.includes("/node_modules/"))
const everything = [...find("mod.ts", "{core,plugins,cli,embedded,bench,scripts,tests}/**/*.{ts,mts,mjs}"), ...examples]

interface Import {
  readonly path: string
  /** As it is written. */
  readonly target: string
}

/** What a source imports, statically or by `import("...")` with a text. */
function importsOf(path: string): ReadonlyArray<Import> {
  const statements = read(path).matchAll(/(?:^|[;}\s])(?:from|import)\s*\(?\s*"([^"]+)"/g)
  return [...statements].map((match) => ({ path, target: match[1] ?? "" }))
}

const show = ({ path, target }: Import): string => `${path} -> ${target}`

/** Where a relative import leads, from the root. */
const place = ({ path, target }: Import): string => join(dirname(path), target)

/** The only folders that a source in `home` may import from. */
function mayImport(home: string, target: string): boolean {
  if (home === "core") return target.startsWith("core/")
  if (home.startsWith("plugins/")) return target.startsWith(`${home}/`) || /^core\/(?:[a-z]+\/)?mod\.ts$/.test(target)
  // The library is the command's sibling: it shares its list of plugins and its version, not what it does.
  if (home === "embedded") {
    return /^(?:embedded|core)\/|^plugins\/[a-z0-9-]+\/mod\.ts$|^cli\/(?:builtins|version)\.ts$/.test(target)
  }
  if (home === "cli") return /^(?:cli|core)\/|^plugins\/[a-z0-9-]+\/mod\.ts$/.test(target)
  return true
}

test("core imports no plugin; a plugin imports core's entries and itself; the command imports both", () => {
  const crossings = product
    .flatMap(importsOf)
    .filter(({ target }) => target.startsWith("."))
    .filter((found) => {
      const [folder = "", name = ""] = found.path.split("/")
      return !mayImport(folder === "plugins" ? `${folder}/${name}` : folder, place(found))
    })
  expect(crossings.map(show)).toEqual([])
})

test("the border would be seen", () => {
  expect(mayImport("core", "plugins/storage-memory/mod.ts")).toBe(false)
  expect(mayImport("core", "cli/main.ts")).toBe(false)
  expect(mayImport("plugins/protocol-mqtt", "plugins/protocol-kafka/mod.ts")).toBe(false)
  expect(mayImport("plugins/protocol-mqtt", "plugins/protocol-mqtt-more/mod.ts")).toBe(false)
  expect(mayImport("plugins/protocol-mqtt", "core/log/PartitionLog.ts")).toBe(false)
  expect(mayImport("plugins/protocol-mqtt", "core/mod.ts")).toBe(true)
  expect(mayImport("cli", "plugins/protocol-mqtt/Session.ts")).toBe(false)
  expect(mayImport("embedded", "plugins/embedded/Face.ts")).toBe(false)
  expect(mayImport("embedded", "cli/configuration.ts")).toBe(false)
  expect(mayImport("core", "embedded/mod.ts")).toBe(false)
  expect(product.length).toBeGreaterThan(50)
  expect(product.flatMap(importsOf).length).toBeGreaterThan(200)
})

test("a plugin in examples/ is a package: it imports itself, its peers and the runtime, and its peers are these versions", () => {
  const packages = find("examples/*/package.json").map((path) => dirname(path))
  expect(packages.length).toBeGreaterThan(1)
  const { version, dependencies } = JSON.parse(read("package.json"))
  const crossings = packages.flatMap((folder) => {
    const { peerDependencies } = JSON.parse(read(`${folder}/package.json`))
    for (const [name, range] of Object.entries<string>(peerDependencies)) {
      const real = name === "manifold" ? version : dependencies[name]
      expect([name, Bun.semver.satisfies(real, range)]).toEqual([name, true])
    }
    return examples
      .filter((path) => path.startsWith(`${folder}/`))
      .flatMap(importsOf)
      .filter((found) => {
        const { path, target } = found
        if (target.startsWith(".")) return !place(found).startsWith(`${folder}/`)
        if (target.startsWith("node:") || target in peerDependencies) return false
        return !(BESIDE.test(path) && ["manifold/contracts", "fast-check"].includes(target))
      })
  })
  expect(crossings.map(show)).toEqual([])
})

test("the product imports nothing that lies beside it for its tests", () => {
  const crossings = product.flatMap(importsOf).filter((found) => BESIDE.test(place(found)))
  expect(crossings.map(show)).toEqual([])
})

test("relative imports carry their extension and lead to a file", () => {
  const lost = everything
    .flatMap(importsOf)
    .filter(({ target }) => target.startsWith("."))
    .filter((found) => !/\.(?:ts|mts|mjs|json)$/.test(found.target) || !existsSync(join(ROOT, place(found))))
  expect(lost.map(show)).toEqual([])
})

test("the product imports only what package.json lists as its dependencies; nothing comes from a URL", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json"))
  const builtin = new Set(builtinModules.map((name) => name.replace(/^node:/, "")))
  const strangers = everything.flatMap(importsOf).filter(({ path, target }) => {
    if (target.startsWith(".")) return false
    if (/^(?:jsr|https?|npm|data):/.test(target)) return true
    if (/^(?:node|bun):/.test(target) || target === "bun" || builtin.has(target)) return false
    const name = target.split("/", target.startsWith("@") ? 2 : 1).join("/")
    // The package by its own name, as third parties have it.
    if (name === "manifold") return false
    return !(name in dependencies || (!product.includes(path) && name in devDependencies))
  })
  expect(strangers.map(show)).toEqual([])
})

test(`no file of the product is longer than ${LINES_MAX} lines`, () => {
  const long = [...product, ...examples.filter((path) => !BESIDE.test(path))]
    .map((path) => ({ path, lines: read(path).split("\n").length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
  expect(long).toEqual([])
})

test("every file of the product opens with what it is for", () => {
  const opening = /^(?:#!.*\n)?\/\*\*/
  expect([...product, ...examples].filter((path) => !BESIDE.test(path) && !opening.test(read(path)))).toEqual([])
})

test("every plugin exports its mod.ts and explains itself", () => {
  const plugins = new Set(find("plugins/*/*.ts").map((path) => dirname(path)))
  const incomplete = [...plugins].filter(
    (folder) => !existsSync(join(ROOT, folder, "README.md")) || !/export const plugin\b/.test(read(`${folder}/mod.ts`))
  )
  expect(incomplete).toEqual([])
})

test("packages have exact versions, and the lock file says the same", () => {
  const { dependencies, devDependencies, version } = JSON.parse(read("package.json"))
  const wanted: Record<string, string> = { ...dependencies, ...devDependencies }
  expect(Object.entries(wanted).filter(([, range]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(range))).toEqual([])
  const lock = JSON.parse(read("package-lock.json"))
  const locked = Object.keys(wanted).map((name) => [name, lock.packages[`node_modules/${name}`]?.version])
  expect(Object.fromEntries(locked)).toEqual(wanted)
  expect([lock.version, lock.packages[""].version]).toEqual([version, version])
})

test("deno.json says the same of packages and types as package.json and tsconfig.json", () => {
  const { dependencies, devDependencies, exports } = JSON.parse(read("package.json"))
  const versions: Record<string, string> = { ...dependencies, ...devDependencies }
  const { imports, compilerOptions } = JSON.parse(read("deno.json")) as {
    readonly imports: Readonly<Record<string, string>>
    readonly compilerOptions: Readonly<Record<string, unknown>>
  }
  const wrong = Object.entries(imports).filter(([name, target]) => {
    const [, found, version, part = ""] = /^npm:((?:@[^@/]+\/)?[^@/]+)@([^/]+)(\/.+)?$/.exec(target) ?? []
    if (found === undefined) return !existsSync(join(ROOT, target))
    return version !== versions[found] || name !== `${found}${part}`
  })
  expect(wrong).toEqual([])
  expect(imports["manifold/contracts"]).toBe(exports["./contracts"])
  expect(
    Object.keys(dependencies).filter(
      (name) => name !== "bun" && !Object.keys(imports).some((key) => key === name || key.startsWith(`${name}/`))
    )
  ).toEqual([])
  const tsconfig = read("tsconfig.json").replace(/^\s*\/\/.*$/gm, "")
  const { compilerOptions: wanted } = JSON.parse(tsconfig)
  // What Deno does of itself, or has in the import map.
  const own = [
    "target",
    "module",
    "moduleResolution",
    "moduleDetection",
    "allowImportingTsExtensions",
    "noEmit",
    "paths"
  ]
  const shared = Object.entries(wanted).filter(([key]) => !own.includes(key) && key !== "types")
  const { types: _types, ...options } = compilerOptions
  expect(options).toEqual(Object.fromEntries(shared))
})

test("the lock file names no registry, and there is only one", () => {
  expect(
    read("package-lock.json").match(
      /"resolved"|https?:\/\/(?!(?:www\.)?(?:github|opencollective|paypal|patreon)\.)[^"]*\.tgz/g
    )
  ).toBeNull()
  expect(read(".npmrc")).toContain("omit-lockfile-registry-resolved=true")
  expect(read(".npmrc")).not.toMatch(/registry\s*=|_auth|:\/\//)
  expect(
    ["bun.lock", "bun.lockb", "deno.lock", "yarn.lock", "pnpm-lock.yaml"].filter((name) => existsSync(join(ROOT, name)))
  ).toEqual([])
})

test("no path of one machine and no number of a plan stands in the source", () => {
  const texts = [...everything, ...find("*.{md,toml}", "docs/**/*.md", ".ci/*")]
  const machine = new RegExp(["/wo" + "rk/", "/ho" + "me/\\w", "\\bissue [A-Z]\\b"].join("|"))
  expect(texts.filter((path) => machine.test(read(path)))).toEqual([])
})
