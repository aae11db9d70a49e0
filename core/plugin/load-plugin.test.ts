import assert from "node:assert"
import { join } from "node:path"
import { afterEach, test } from "node:test"
import { Layer } from "effect"
import * as v from "valibot"
import type { ClockShape } from "../platform/Clock.ts"
import { FakeModules, TestFolder } from "./fakes.ts"
import { IMPORT_TIMEOUT_MS, type PluginFile, PluginLoader } from "./load-plugin.ts"
import { CONTRACT_VERSION } from "./Plugin.ts"

const folders: Array<TestFolder> = []
afterEach(() => {
  for (const folder of folders.splice(0)) folder.close()
})

const plugin = (name: string) => ({
  name,
  version: "1.0.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options: v.strictObject({}),
  layer: () => Layer.empty
})

/** Runs what waits when a test says so, and only then. */
class HandClock implements ClockShape {
  readonly #tasks = new Map<number, { readonly delayMs: number; readonly task: () => void }>()
  #next = 0
  nowMs = (): number => 0
  monotonicMs = (): number => 0
  microtask = (): void => undefined
  immediate = (): void => undefined

  after(delayMs: number, task: () => void) {
    const id = this.#next++
    this.#tasks.set(id, { delayMs, task })
    return { cancel: () => void this.#tasks.delete(id) }
  }

  get waiting(): ReadonlyArray<number> {
    return [...this.#tasks.values()].map(({ delayMs }) => delayMs)
  }

  fire(): void {
    for (const { task } of this.#tasks.values()) task()
  }
}

interface Host {
  readonly loader: PluginLoader
  readonly modules: FakeModules
  readonly clock: HandClock
  readonly folder: TestFolder
  readonly load: (use: string, digest?: string) => Promise<PluginFile>
}

function host(files: Readonly<Record<string, string>>): Host {
  const folder = new TestFolder()
  folders.push(folder)
  folder.write(files)
  const modules = new FakeModules()
  const clock = new HandClock()
  const loader = new PluginLoader({ modules, clock, host: new Map([["manifold", {}]]) })
  return { loader, modules, clock, folder, load: (use, digest) => loader.load(use, folder.path, digest) }
}

const faultOf = (file: PluginFile): string => ("fault" in file ? file.fault : "none")

/** The digest that a fault shows. */
const shown = (file: PluginFile): string => /sha256-[0-9a-f]{64}/.exec(faultOf(file))?.[0] ?? "none"

const WRONG = `sha256-${"0".repeat(64)}`

test("a plugin is loaded once, from its real place, by way of the guard", async () => {
  const { modules, folder, clock, load } = host({ "p/mod.ts": "" })
  const entry = join(folder.path, "p/mod.ts")
  modules.exports.set(entry, async () => ({ plugin: plugin("one") }))
  const [first, second] = await Promise.all([load("./p"), load("./p")])
  assert.ok("plugin" in first && first.plugin.name === "one" && first.place?.entry === entry)
  assert.equal(first, second)
  assert.deepEqual(modules.imported, [entry])
  assert.deepEqual(modules.published, ["manifold"])
  assert.ok(modules.guarded !== undefined)
  assert.deepEqual(clock.waiting, [])
})

test("nothing runs of a plugin whose digest is another, and the real one is told", async () => {
  const { modules, folder, load, loader } = host({ "p/mod.ts": "import ./a.ts", "p/a.ts": "" })
  const entry = join(folder.path, "p/mod.ts")
  modules.exports.set(entry, async () => ({ plugin: plugin("one") }))
  const wrong = await load("./p", WRONG)
  assert.ok("fault" in wrong && wrong.key === "digest", faultOf(wrong))
  assert.deepEqual(modules.imported, [])
  const right = await load("./p", shown(wrong))
  assert.ok("plugin" in right && right.place !== undefined)
  assert.equal(loader.digest(right.place), shown(wrong))
})

test("with a digest the bytes that run are those that were hashed, whatever lies there later, and no others", async () => {
  const { modules, folder, load, loader } = host({ "p/mod.ts": "import ./a.ts", "p/a.ts": "old", "p/extra.ts": "" })
  const path = (name: string): string => join(folder.path, "p", name)
  modules.exports.set(path("mod.ts"), async () => {
    folder.write({ "p/a.ts": "new" })
    assert.equal(new TextDecoder().decode(modules.guarded?.load(path("a.ts"))), "old")
    assert.throws(
      () => modules.guarded?.load(path("extra.ts")),
      /its digest covers; "extra\.ts" is imported by a computed name/
    )
    assert.throws(() => modules.guarded?.load(path("none.ts")), /"none\.ts"/)
    return { plugin: plugin("one") }
  })
  const loaded = await load("./p", shown(await load("./p", WRONG)))
  assert.ok("plugin" in loaded && loaded.place !== undefined, faultOf(loaded))
  // The digest is that of the code that was verified, as often as it is asked for.
  assert.equal(loader.digest(loaded.place), shown(await load("./p", WRONG)))
})

test("without a digest a module is judged when it is loaded", async () => {
  const { modules, folder, load } = host({
    "p/mod.ts": "",
    "p/good.ts": "import ./mod.ts",
    "p/bad.ts": "import ../out.ts",
    "p/data.txt": "",
    "p/node_modules/q/index.js": "",
    "out.ts": ""
  })
  folder.link("p/link.ts", "../out.ts")
  const path = (name: string): string => join(folder.path, name)
  modules.exports.set(path("p/mod.ts"), async () => ({ plugin: plugin("one") }))
  const loaded = await load("./p")
  assert.ok("plugin" in loaded)
  const { guarded } = modules
  assert.equal(new TextDecoder().decode(guarded?.load(path("p/good.ts"))), "import ./mod.ts")
  assert.throws(() => guarded?.load(path("p/bad.ts")), /bad\.ts imports "\.\.\/out\.ts", which lies outside/)
  assert.throws(() => guarded?.load(path("p/link.ts")), /stays in its folder .*; link\.ts leads to .*out\.ts/)
  assert.throws(() => guarded?.load(path("p/node_modules/q/index.js")), /bundle it/)
  assert.throws(() => guarded?.load(path("p/none.ts")), /can be read; none\.ts cannot/)
  assert.equal(guarded?.load(path("out.ts")), undefined)
  assert.throws(() => guarded?.resolve("../out.ts", path("p/mod.ts")), /which lies outside/)
  assert.equal(guarded?.resolve("../out.ts", path("out.ts")), undefined)
})

test("a path belongs to the innermost plugin; one with a digest has its folder to itself", async () => {
  const files = { "p/mod.ts": "", "p/in/mod.ts": "", "p/in/x.ts": "import ../mod.ts", "p/other.ts": "" }
  const open = host(files)
  const entry = (folder: TestFolder, name: string) => join(folder.path, name)
  for (const name of ["p/mod.ts", "p/in/mod.ts", "p/other.ts"]) {
    open.modules.exports.set(entry(open.folder, name), async () => ({ plugin: plugin("one") }))
  }
  for (const use of ["./p", "./p/in", "./p/other.ts"]) assert.equal(faultOf(await open.load(use)), "none")
  assert.throws(() => open.modules.guarded?.load(entry(open.folder, "p/in/x.ts")), /which lies outside/)

  for (const order of [
    ["./p", "./p/in"],
    ["./p/in", "./p"],
    ["./p", "./p/other.ts"]
  ]) {
    const { load, modules, folder } = host(files)
    for (const name of ["p/mod.ts", "p/in/mod.ts", "p/other.ts"]) {
      modules.exports.set(entry(folder, name), async () => ({ plugin: plugin("one") }))
    }
    const digest = shown(await load("./p", WRONG))
    const results: Array<string> = []
    for (const use of order) results.push(faultOf(await load(use, use === "./p" ? digest : undefined)))
    assert.equal(results[0], "none")
    assert.match(results[1] ?? "", /a folder of its own for a plugin with a digest; "\.\/p" and "/)
  }
})

test("an import that does not settle is given up", async () => {
  const { modules, folder, clock, load } = host({ "mod.ts": "" })
  modules.exports.set(join(folder.path, "mod.ts"), () => new Promise(() => undefined))
  const loading = load("./mod.ts")
  await Promise.resolve()
  assert.deepEqual(clock.waiting, [IMPORT_TIMEOUT_MS])
  clock.fire()
  assert.equal(faultOf(await loading), "a module that loads; this one has not after 10 s")
})

/** What an import throws, and what is told. */
const thrown: ReadonlyArray<readonly [unknown, string]> = [
  [new Error("boom\nand more"), "boom"],
  [new TypeError("boom"), "TypeError: boom"],
  ["a text", "a text"],
  [undefined, "undefined"],
  [{ message: "like an error" }, "like an error"],
  [Object.create(null), "something that cannot be shown"],
  [
    {
      get message() {
        throw new Error("again")
      }
    },
    "something that cannot be shown"
  ],
  [new Error("\u001b[31mred\u0007"), "?[31mred?"],
  [new Error("x".repeat(1_000)), `${"x".repeat(297)}...`]
]
for (const [index, [error, says]] of thrown.entries()) {
  test(`a module that throws: ${index}`, async () => {
    const { modules, folder, load } = host({ "mod.ts": "" })
    modules.exports.set(join(folder.path, "mod.ts"), () => Promise.reject(error))
    assert.equal(faultOf(await load("./mod.ts")), `a module that loads; this one says: ${says}`)
  })
}

test("where a module throws is told, by its way from the plugin's folder", async () => {
  const { modules, folder, load } = host({ "p/mod.ts": "" })
  const error = new Error("boom")
  error.stack = `Error: boom\n    at other (/elsewhere.ts:1:1)\n    at run (${join(folder.path, "p/sub/a.ts")}:12:7)\n`
  modules.exports.set(join(folder.path, "p/mod.ts"), () => Promise.reject(error))
  assert.equal(faultOf(await load("./p")), "a module that loads; this one says: boom (at sub/a.ts:12:7)")
})

test("what is wrong with a plugin's place or shape is a fault, too", async () => {
  const { load } = host({ "p/mod.ts": "" })
  assert.match(faultOf(await load("../p")), /inside the manifest's folder/)
  assert.match(faultOf(await load("./p")), /exports "plugin"/)
  assert.match(faultOf(await load("./none", WRONG)), /that is there/)
})
