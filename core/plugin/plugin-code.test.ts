import assert from "node:assert"
import { join } from "node:path"
import { after, afterEach, test } from "node:test"
import { pathToFileURL } from "node:url"
import fc from "fast-check"
import { FakeModules, TestFolder } from "./fakes.ts"
import { locatePlugin, type PluginPlace, pathIn } from "./locate-plugin.ts"
import { PluginFault } from "./PluginFault.ts"
import { type CodeRules, walkPlugin } from "./plugin-code.ts"
import { DIGEST_FORM, digestOf } from "./plugin-digest.ts"

const rules: CodeRules = {
  modules: new FakeModules(),
  host: new Set(["manifold", "effect", "effect/Schema", "valibot"])
}
const folders: Array<TestFolder> = []
afterEach(() => {
  for (const folder of folders.splice(0)) folder.close()
})
const outside = new TestFolder()
outside.write({ "x.ts": "" })
after(() => outside.close())

/** A plugin with these files; its entry is mod.ts. */
function plugin(files: Readonly<Record<string, string | Uint8Array>>): { place: PluginPlace; folder: TestFolder } {
  const folder = new TestFolder()
  folders.push(folder)
  folder.write(files)
  return { place: locatePlugin(folder.path, folder.path, rules.modules.files), folder }
}

const walked = (place: PluginPlace): ReadonlyArray<string> =>
  [...walkPlugin(place, rules).keys()].map((path) => pathIn(place.folder, path)).sort()

test("a walk finds what is written out, each module once, and nothing else of the folder", () => {
  const { place } = plugin({
    "mod.ts":
      "import ./a.ts\ncall ./b/c.mjs\nrequire ./data.json\nimport manifold\nimport node:fs\nimport effect/Schema",
    "a.ts": "import ./mod.ts\nimport ./b/c.mjs\ncall ./absent.ts",
    "b/c.mjs": "import ../a.ts",
    "data.json": "[1]",
    "unused.ts": "! not looked at"
  })
  assert.deepEqual(walked(place), ["a.ts", "b/c.mjs", "data.json", "mod.ts"])
})

test("a link inside the folder to a file of the folder is that file", () => {
  const { place, folder } = plugin({ "mod.ts": "import ./link.ts", "real.ts": "" })
  folder.link("link.ts", "./real.ts")
  assert.deepEqual(walked(place), ["mod.ts", "real.ts"])
})

/** What a module of a plugin says, and what the refusal has to say. */
const refused: ReadonlyArray<readonly [string, string, RegExp]> = [
  ["outside", "import ../x.ts", /stays in its folder .*; sub\/a\.ts imports "\.\.\/\.\.\/x\.ts", which lies outside/],
  ["outside, when it is called", "call ../x.ts", /imports "\.\.\/\.\.\/x\.ts", which lies outside/],
  ["absolute", `import ${outside.path}/x.ts`, /which lies outside/],
  ["by a URL", `import ${pathToFileURL(join(outside.path, "x.ts")).href}`, /which lies outside/],
  ["through a link", "import ./link.ts", /a symbolic link to .*x\.ts: copy the file there, or bundle it/],
  ["through a linked folder", "import ./linked/x.ts", /a symbolic link to .*x\.ts/],
  ["not there", "import ./none.ts", /files that are there; sub\/a\.ts imports "\.\/none\.ts", which is not$/],
  ["without its extension", "import ./b", /which is not: write "\.\/b\.ts"/],
  ["a folder", "import ./folder", /which is not$/],
  ["CommonJS", "import ./c.cjs", /\.ts \.mts \.js \.mjs \.json; sub\/a\.ts imports "\.\/c\.cjs", which does not/],
  ["native code", "require ./n.node", /which does not/],
  ["a package", "import lodash", /holds the packages it uses; sub\/a\.ts imports "lodash", .*bundle it/],
  ["a package, when it is called", "call lodash", /imports "lodash", .*bundle it/],
  ["a package, when it is required", "require lodash", /imports "lodash", .*bundle it/],
  ["an alias", "import #inner", /imports "#inner"/],
  [
    "more of effect",
    "import effect/http",
    /host gives: manifold, effect, valibot, .*effect\/Schema; .*"effect\/http", which is none/
  ],
  ["more of effect, when it is called", "call effect/http", /which is none of them/],
  ["the contracts", "import manifold/contracts", /"manifold\/contracts", which is none of them/],
  ["data", "import data:text/javascript,1", /lies in the plugin's folder; .*"data:text\/javascript,1", which does not/],
  ["data, when it is called", "call data:text/javascript,1", /which does not/],
  ["the network", "import https://example.org/x.js", /which does not/],
  ["another runtime's", "import bun:sqlite", /"bun:sqlite", which does not/],
  ["a syntax error", "\n\n!", /without syntax errors; sub\/a\.ts:3:1: Unexpected !/],
  ["JSON that is none", "import ./bad.json", /^JSON; sub\/bad\.json is none: /]
]
for (const [name, text, says] of refused) {
  test(`refused: ${name}`, () => {
    const { place, folder } = plugin({
      "mod.ts": "import ./sub/a.ts",
      // One folder down, so that the importing file is told by its way from the plugin's folder.
      "sub/a.ts": text.replace(" ../x.ts", " ../../x.ts"),
      "sub/b.ts": "",
      "sub/c.cjs": "",
      "sub/n.node": "",
      "sub/bad.json": "{",
      "sub/folder/mod.ts": ""
    })
    folder.link("sub/link.ts", join(outside.path, "x.ts"))
    folder.link("sub/linked", outside.path)
    assert.throws(
      () => walkPlugin(place, rules),
      (error) => error instanceof PluginFault && says.test(error.message)
    )
  })
}

test("what lies in a node_modules of the folder is a package's", () => {
  const { place } = plugin({ "mod.ts": "import ./node_modules/p/index.js", "node_modules/p/index.js": "" })
  assert.throws(() => walkPlugin(place, rules), /node_modules\/p\/index\.js is a package's: bundle it/)
})

test("bytes that are no text, and a line that would take over a terminal", () => {
  const { place } = plugin({ "mod.ts": new Uint8Array([0x61, 0xff]) })
  assert.throws(() => walkPlugin(place, rules), /text in UTF-8; mod\.ts is none/)
  const spoof = plugin({ "mod.ts": "import ./\u001b[2Jgone.ts" })
  assert.throws(
    () => walkPlugin(spoof.place, rules),
    (error) => error instanceof PluginFault && !error.message.includes("\u001b")
  )
})

const digest = (place: PluginPlace): string => digestOf(place, walkPlugin(place, rules))

test("the digest of a known plugin", () => {
  const { place } = plugin({ "mod.ts": "import ./b.ts\n", "b.ts": "", "readme.md": "no code" })
  // printf 'mod.ts\0b.ts\x000\0mod.ts\x0014\0import ./b.ts\n' | sha256sum
  assert.equal(digest(place), "sha256-1f08f041591b22de019c8a0edb1c6990597811b43f5a8ddc0b833fa1f995139a")
})

test("the place of the folder and what is no code of it do not change the digest; every path of a module does", () => {
  const files = { "mod.ts": "import ./a.ts", "a.ts": "1" }
  const known = digest(plugin(files).place)
  assert.match(known, DIGEST_FORM)
  assert.equal(digest(plugin({ ...files, "unused.ts": "!", "README.md": "x" }).place), known)
  assert.notEqual(digest(plugin({ "mod.ts": "import ./b.ts", "b.ts": "1" }).place), known)
  assert.notEqual(digest(plugin({ "mod.ts": "import ./a.ts", "a.ts": "" }).place), known)
  const asJs = plugin({ "package.json": '{ "main": "a.ts" }', "mod.ts": "import ./a.ts", "a.ts": "import ./mod.ts" })
  const asTs = plugin({ "package.json": '{ "main": "mod.ts" }', "mod.ts": "import ./a.ts", "a.ts": "import ./mod.ts" })
  assert.notEqual(digest(asJs.place), digest(asTs.place))
})

const place: PluginPlace = { use: "./p", origin: "path", folder: "/p", entry: "/p/mod.ts" }
const code = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}(?:\/[a-z]{1,3})?\.ts$/), fc.uint8Array({ maxLength: 20 }), {
  minKeys: 1,
  maxKeys: 5
})
const filesOf = (modules: Readonly<Record<string, Uint8Array>>): Map<string, Uint8Array> =>
  new Map(Object.entries(modules).map(([name, bytes]) => [`/p/${name}`, bytes]))

test("the order in which modules are found does not change the digest", () => {
  fc.assert(
    fc.property(code, fc.infiniteStream(fc.nat()), (modules, order) => {
      const files = [...filesOf(modules)]
      const keys = files.map(() => order.next().value ?? 0)
      const shuffled = files.map((file, index) => [keys[index] ?? 0, file] as const).sort(([a], [b]) => a - b)
      assert.equal(digestOf(place, new Map(shuffled.map(([, file]) => file))), digestOf(place, new Map(files)))
    })
  )
})

test("any changed, added or removed byte, and any byte moved to the next module, changes the digest", () => {
  fc.assert(
    fc.property(code, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (modules, file, at, change) => {
      const before = filesOf(modules)
      const known = digestOf(place, before)
      const names = [...before.keys()].sort()
      const name = names[file % names.length] ?? ""
      const bytes = before.get(name) ?? new Uint8Array()
      const differs = (more: ReadonlyArray<readonly [string, Uint8Array]>): void =>
        assert.notEqual(digestOf(place, new Map([...before, ...more])), known)
      differs([[name, Uint8Array.from([...bytes, change])]])
      if (bytes.length === 0) return
      const position = at % bytes.length
      differs([[name, bytes.map((byte, index) => (index === position ? byte ^ change : byte))]])
      differs([[name, bytes.filter((_, index) => index !== position)]])
      const next = names[(file % names.length) + 1]
      if (next === undefined) return
      const moved = Uint8Array.from([...bytes.subarray(-1), ...(before.get(next) ?? [])])
      differs([
        [name, bytes.subarray(0, -1)],
        [next, moved]
      ])
    })
  )
})
