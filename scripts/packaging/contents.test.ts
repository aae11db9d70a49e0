/** What a build holds, by its manifest; what a plugin that is compiled in gets when it imports the host. */
import assert from "node:assert"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { builtins, included, leftOut } from "../../cli/builtins.ts"
import { UnreadableFile } from "../../cli/configuration.ts"
import { ROOT } from "../bootstrap.mjs"
import { BuildError, bundle, compileExecutable } from "./build.ts"
import { builtinsModule, contentsOf, ManifestFaults } from "./contents.ts"
import { hostTarget } from "./targets.ts"

let folder = ""
before(() => {
  folder = mkdtempSync(join(tmpdir(), "manifold-contents-"))
})
after(() => rmSync(folder, { recursive: true, force: true }))

const ALL = builtins.map(({ name }) => name)
/** Storage and meta: they need no entry. */
const ALWAYS = builtins.filter(({ kind }) => kind === "storage" || kind === "meta").map(({ name }) => name)

function manifest(text: string): string {
  const file = join(folder, "manifest.toml")
  writeFileSync(file, text)
  return file
}

test("from source all of ours are there, nothing is compiled in or left out", () => {
  assert.deepStrictEqual([included.size, leftOut.length], [0, 0])
  assert.ok(ALL.length > ALWAYS.length && ALWAYS.length > 1)
})

for (const { name } of builtins) {
  test(`${name} lies in the folder of its name`, async () => {
    const { plugin } = await import(join(ROOT, "plugins", name, "mod.ts"))
    assert.strictEqual(
      plugin,
      builtins.find((other) => other.name === name)
    )
  })
}

const held: ReadonlyArray<readonly [string, string | undefined, ReadonlyArray<string>]> = [
  ["no manifest", undefined, ALL],
  ["a manifest without a list of plugins", "[node]\nshards = 2\n", ALL],
  ["one protocol", '[[plugin]]\nuse = "protocol-mqtt"\n', [...ALWAYS, "protocol-mqtt"]],
  [
    "one that is switched off",
    '[[plugin]]\nuse = "protocol-mqtt"\n[[plugin]]\nuse = "admin-http"\nenabled = false\n',
    [...ALWAYS, "protocol-mqtt"]
  ],
  [
    "storage-sqlite switched off, which leaves topics in memory",
    '[[plugin]]\nuse = "storage-sqlite"\nenabled = false\n[[topics.rule]]\nmatch = "a"\npartitions = 2\n',
    ALWAYS.filter((name) => name !== "storage-sqlite")
  ],
  ["an empty list", "plugin = []\n", ALWAYS]
]
for (const [what, text, names] of held) {
  test(`${what}: ${names.join(", ")}`, async () => {
    const contents = await contentsOf(text === undefined ? undefined : manifest(text))
    assert.deepStrictEqual(contents.builtins.toSorted(), names.toSorted())
    assert.deepStrictEqual(
      contents.leftOut,
      ALL.filter((name) => !names.includes(name))
    )
    assert.strictEqual(contents.included.size, 0)
    const source = builtinsModule(contents)
    for (const name of ALL) assert.strictEqual(source.includes(`plugins/${name}/mod.ts`), names.includes(name), name)
  })
}

test("the environment of the build is none of the manifest's", async () => {
  process.env["MANIFOLD_NODE__SHARDS"] = "nonsense"
  try {
    assert.deepStrictEqual((await contentsOf(manifest(""))).builtins, ALL)
  } finally {
    delete process.env["MANIFOLD_NODE__SHARDS"]
  }
})

test("faults are told, all of them; a file that is not there, too", async () => {
  const file = manifest('[[plugin]]\nuse = "protocol-mqtt"\noptions.tpc = 1\n[node]\nshards = 0\n')
  await assert.rejects(contentsOf(file), (error) => error instanceof ManifestFaults && error.lines.length === 2)
  await assert.rejects(contentsOf(join(folder, "none.toml")), UnreadableFile)
})

test("the module of a build says names that are no identifiers, and keeps paths as they are", () => {
  const use = './odd "name"\\.ts'
  const source = builtinsModule({
    builtins: ["meta-raft"],
    leftOut: ["a"],
    included: new Map([[use, "/x/y z.ts"]]),
    sources: new Map()
  })
  assert.ok(source.includes(`from ${JSON.stringify(join(ROOT, "plugins/meta-raft/mod.ts"))}`))
  assert.ok(source.includes('from "/x/y z.ts"'))
  assert.ok(source.includes(`[${JSON.stringify(use)}, plugin1]`))
  assert.ok(source.includes('export const leftOut = ["a"]'))
})

test("what cannot be bundled is a BuildError that names it, and leaves no file", async () => {
  const entry = join(folder, "lacks.ts")
  const missing = "a-package-that-is-not-there"
  writeFileSync(entry, `export { plugin } from ${JSON.stringify(missing)}\n`)
  const contents = { builtins: ALWAYS, leftOut: [], included: new Map([["./lacks.ts", entry]]), sources: new Map() }
  const isTold = (error: unknown): boolean => error instanceof BuildError && error.message.includes(missing)
  await assert.rejects(bundle(contents), isTold)
  const outfile = join(folder, "built")
  await assert.rejects(compileExecutable(contents, hostTarget(), outfile), isTold)
  assert.strictEqual(await Bun.file(outfile).exists(), false)
})

test("what is built in is what was judged, though the files are others by then", async () => {
  const mine = join(folder, "mine")
  mkdirSync(mine)
  const imports = (name: string, from: string): string => ["import", name, "from", JSON.stringify(from), "\n"].join(" ")
  const changed = 'export const word = "changed-since-it-was-judged"'
  writeFileSync(join(mine, "later.txt"), changed)
  writeFileSync(join(mine, "word.ts"), 'export const word: string = "as-it-was-judged"')
  const lines = [
    imports("{ Layer }", "effect"),
    imports("* as v", "valibot"),
    imports("{ CONTRACT_VERSION }", "manifold"),
    imports("{ word }", "./word.ts"),
    imports("{ copyFileSync }", "node:fs"),
    `copyFileSync(${JSON.stringify(join(mine, "later.txt"))}, ${JSON.stringify(join(mine, "word.ts"))})`,
    'export const plugin = { name: "mine", version: word, contractVersion: CONTRACT_VERSION, kind: "http", runs: "node",',
    "  options: v.strictObject({}), layer: () => Layer.empty }"
  ]
  writeFileSync(join(mine, "mod.ts"), lines.join("\n"))
  const use = 'use = "./mine"\n'
  const wrong = contentsOf(manifest(`[[plugin]]\n${use}digest = "sha256-${"0".repeat(64)}"\n`))
  const digest = await wrong.then(
    () => "",
    (error: unknown) => /sha256-(?!0{64})[0-9a-f]{64}/.exec(String(error))?.[0] ?? ""
  )
  const contents = await contentsOf(manifest(`[[plugin]]\n${use}digest = "${digest}"\n`))
  assert.equal(readFileSync(join(mine, "word.ts"), "utf8"), changed)
  const text = await bundle(contents)
  assert.deepEqual([text.includes("as-it-was-judged"), text.includes("changed-since-it-was-judged")], [true, false])
})
