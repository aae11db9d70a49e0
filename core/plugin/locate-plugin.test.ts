import assert from "node:assert"
import { symlinkSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import fc from "fast-check"
import { moduleFiles } from "../platform/module-files.ts"
import { TestFolder } from "./fakes.ts"
import { isInside, isPackageName, isPath, locatePlugin, pathIn } from "./locate-plugin.ts"
import { PluginFault } from "./PluginFault.ts"

const home = new TestFolder()
const other = new TestFolder()
const locate = (use: string) => locatePlugin(use, home.path, moduleFiles)

before(() => {
  home.write({
    "one.ts": "",
    "dot.d/mod.ts": "",
    "sub/deep/mod.ts": "",
    "with-main/package.json": '{ "main": "./lib/main.mjs" }',
    "with-main/lib/main.mjs": "",
    "with-module/package.json": '{ "module": "m.js", "main": "absent.cjs" }',
    "with-module/m.js": "",
    "with-exports/package.json": '{ "exports": "./e.ts", "main": "absent.js" }',
    "with-exports/e.ts": "",
    "with-dot/package.json":
      '{ "exports": { "./x": "./x.ts", ".": { "require": "./c.cjs", "import": { "default": "./e.ts" } } } }',
    "with-dot/e.ts": "",
    "with-conditions/package.json":
      '{ "exports": { "types": "./t.d.ts", "default": "./e.ts", "import": "./absent.ts" } }',
    "with-conditions/e.ts": "",
    "only-scripts/package.json": '{ "scripts": {} }',
    "only-scripts/mod.ts": "",
    "leaves/package.json": '{ "main": "../one.ts" }',
    "absent-main/package.json": '{ "main": "./none.ts" }',
    "common/package.json": '{ "main": "./main.cjs" }',
    "common/main.cjs": "",
    "data/package.json": '{ "main": "./data.json" }',
    "data/data.json": "{}",
    "broken/package.json": "{",
    "null/package.json": "null",
    "null/mod.ts": "",
    "empty/readme": "",
    "code.txt": "",
    "quest?ion/mod.ts": "",
    "node_modules/plain/mod.ts": "",
    "node_modules/@scope/name/package.json": '{ "exports": "./index.js" }',
    "node_modules/@scope/name/index.js": "",
    "node_modules/.pnpm/stored@1.0.0/node_modules/stored/mod.ts": "",
    "node_modules/a-file": ""
  })
  other.write({ "out.ts": "", "package/mod.ts": "" })
  home.link("link-out.ts", join(other.path, "out.ts"))
  home.link("link-in.ts", "./one.ts")
  home.link("folder-out", other.path)
  home.link("dangling.ts", "./nowhere.ts")
  home.link("entry-out/mod.ts", join(other.path, "out.ts"))
  home.link("node_modules/stored", ".pnpm/stored@1.0.0/node_modules/stored")
  home.link("node_modules/linked", join(other.path, "package"))
  home.link("node_modules/workspace", "../sub/deep")
  other.link("package-link", "./package")
  symlinkSync(home.path, join(other.path, "home-link"))
})
after(() => {
  home.close()
  other.close()
})

/** What a manifest in the folder may call it, the plugin's folder, its entry in that folder. */
const found: ReadonlyArray<readonly [string, string, string]> = [
  ["./one.ts", ".", "one.ts"],
  ["./sub/../one.ts", ".", "one.ts"],
  ["./link-in.ts", ".", "one.ts"],
  ["./dot.d", "dot.d", "mod.ts"],
  ["./sub/deep/", "sub/deep", "mod.ts"],
  ["./sub/deep/mod.ts", "sub/deep", "mod.ts"],
  ["./with-main", "with-main", "lib/main.mjs"],
  ["./with-main/lib/main.mjs", "with-main/lib", "main.mjs"],
  ["./with-module", "with-module", "m.js"],
  ["./with-exports", "with-exports", "e.ts"],
  ["./with-dot", "with-dot", "e.ts"],
  ["./with-conditions", "with-conditions", "e.ts"],
  ["./only-scripts", "only-scripts", "mod.ts"],
  ["./null", "null", "mod.ts"],
  ["plain", "node_modules/plain", "mod.ts"],
  ["@scope/name", "node_modules/@scope/name", "index.js"],
  ["stored", "node_modules/.pnpm/stored@1.0.0/node_modules/stored", "mod.ts"]
]
for (const [use, folder, entry] of found) {
  test(`found: ${use}`, () => {
    const place = locate(use)
    assert.deepEqual(
      [place.use, place.folder, pathIn(place.folder, place.entry), place.origin],
      [use, join(home.path, folder), entry, isPath(use) ? "path" : "package"]
    )
  })
}

test("an absolute path may lie anywhere, and be a link to its folder", () => {
  const folder = join(other.path, "package")
  assert.deepEqual(locate(folder).entry, join(folder, "mod.ts"))
  const linked = locate(join(other.path, "package-link"))
  assert.deepEqual([linked.folder, linked.entry], [folder, join(folder, "mod.ts")])
})

test("a manifest's folder that is named through a link is that folder", () => {
  const { folder } = locatePlugin("./sub/deep", join(other.path, "home-link"), moduleFiles)
  assert.equal(folder, join(home.path, "sub/deep"))
  assert.equal(locatePlugin("plain", join(other.path, "home-link"), moduleFiles).origin, "package")
})

/** What is refused, and what the line has to say. */
const refused: ReadonlyArray<readonly [string, RegExp]> = [
  ["../out.ts", /inside the manifest's folder .* or an absolute path; this one leads to /],
  ["./sub/../../out.ts", /inside the manifest's folder/],
  ["..", /inside the manifest's folder/],
  ["./none.ts", /^a file or folder that is there; .*none\.ts is not$/],
  ["./dangling.ts", /^a file or folder that is there/],
  ["./link-out.ts", /link-out\.ts is a symbolic link to .*out\.ts: copy it/],
  ["./folder-out", /inside the manifest's folder .*through a symbolic link to /],
  ["./folder-out/out.ts", /inside the manifest's folder .*through a symbolic link to /],
  ["./entry-out", /mod\.ts is a symbolic link to .*: copy it/],
  ["./leaves", /code lies in its folder .*leaves; its module is .*one\.ts/],
  ["./absent-main", /whose module is there; .*none\.ts is not/],
  ["./common", /ends in \.ts \.mts \.js or \.mjs; main\.cjs does not/],
  ["./data", /ends in \.ts \.mts \.js or \.mjs; data\.json does not/],
  ["./code.txt", /ends in \.ts \.mts \.js or \.mjs; code\.txt does not/],
  ["./broken", /package\.json can be read as JSON/],
  ["./empty", /package\.json that names its module .*mod\.ts; .*empty has neither/],
  ["./quest?ion", /a path without "\?"/],
  ["absent", /installed beside the manifest; there is no folder .*node_modules\/absent/],
  ["a-file", /installed beside the manifest/],
  ["linked", /inside .*node_modules; this one is a symbolic link to .*name it by its path: use = "/],
  ["workspace", /inside .*node_modules; this one is a symbolic link to .*sub\/deep/]
]
for (const [use, says] of refused) {
  test(`refused: ${use}`, () => {
    assert.throws(
      () => locate(use),
      (error) => error instanceof PluginFault && says.test(error.message)
    )
  })
}

const forms: ReadonlyArray<readonly [string, "path" | "package" | "none"]> = [
  ["./a", "path"],
  ["../a", "path"],
  [".", "path"],
  ["/a", "path"],
  ["C:\\a", "path"],
  ["c:/a", "path"],
  ["a", "package"],
  ["@a/b", "package"],
  ["a.b_c~d-e", "package"],
  [".hidden", "none"],
  ["a/b", "none"],
  ["@a", "none"],
  ["@a/b/c", "none"],
  ["@a/../b", "none"],
  ["@../b", "none"],
  ["A", "none"],
  ["a\\b", "none"],
  ["node_modules", "none"],
  ["file:///a", "none"],
  ["", "none"]
]
for (const [use, expected] of forms) {
  test(`the form of ${JSON.stringify(use)} is ${expected}`, () => {
    assert.equal(isPath(use) ? "path" : isPackageName(use) ? "package" : "none", expected)
  })
}

test("whatever a manifest writes is found inside the folder that is told, or refused in one line", () => {
  const part = fc.constantFrom(
    "..",
    ".",
    "sub",
    "deep",
    "mod.ts",
    "folder-out",
    "link-out.ts",
    "node_modules",
    "stored",
    "/",
    ""
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.constantFrom("./", "../", ""), (parts, start) => {
      const use = `${start}${parts.join("/")}`
      // An absolute path is the operator's word.
      fc.pre(!use.startsWith("/"))
      try {
        const { folder, entry } = locate(use)
        assert.ok(isInside(home.path, folder) && isInside(folder, entry), `${folder} ${entry}`)
        assert.equal(moduleFiles.realPath(entry), entry)
      } catch (error) {
        assert.ok(error instanceof PluginFault && !error.message.includes("\n"))
      }
    })
  )
})

test("a folder is around what lies below it, not around what begins like it", () => {
  assert.equal(isInside("/a/b", "/a/b"), true)
  assert.equal(isInside("/a/b", "/a/b/c"), true)
  assert.equal(isInside("/a/b", "/a/b/..c"), true)
  assert.equal(isInside("/a/b", "/a/bc"), false)
  assert.equal(isInside("/a/b", "/a"), false)
  assert.equal(isInside("/", "/a"), true)
})
