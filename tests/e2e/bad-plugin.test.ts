/**
 * Plugins that must not be loaded: by the real command, one line each on stderr that names the plugin and what would be right, and an
 * exit code that is not 0 (docs/plugins.md).
 */
import assert from "node:assert"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, describe, test } from "node:test"
import { IS_EXTERNAL, RUNS_ON_DENO, runCommand } from "../support/broker.ts"

/** A plugin that is right; `more` is its own text before what it exports. */
const right = (more = "", facts = ""): string => `${more}
import * as v from "valibot"
import { Layer } from "effect"
import { CONTRACT_VERSION } from "manifold"
export const plugin = { name: "third-party", version: "1.0.0", contractVersion: CONTRACT_VERSION, kind: "protocol",
  runs: "shard", options: v.strictObject({ size: v.optional(v.number(), 1) }), layer: () => Layer.empty, ${facts} }
`
/** Statements that load what stands at `specifier`; `names` and a computed one are code. Put together, so that they are not this file's. */
const imports = (specifier: string, names = ""): string =>
  ["import", names, names === "" ? "" : "from", JSON.stringify(specifier), "\n"].join(" ")
const computed = (code: string): string => `await ${"import"}(${code})\n`
const entry = (use: string, more = ""): string => `[[plugin]]\nuse = ${JSON.stringify(use)}\n${more}`
const HEX = "0123456789abcdef".repeat(4)

interface Case {
  readonly name: string
  readonly files?: Readonly<Record<string, string>>
  /** Symbolic links: their place in the folder, and where they lead, `OUT` being another folder. */
  readonly links?: Readonly<Record<string, string>>
  readonly manifest: string
  /** Each has to stand in the one line. */
  readonly says: ReadonlyArray<string>
}

const cases: ReadonlyArray<Case> = [
  {
    name: "two plugins of one name",
    files: { "a/mod.ts": right(), "b/mod.ts": right() },
    manifest: entry("./a") + entry("./b"),
    says: ['plugin.1.use: found "./b"', 'new name; there is another "third-party"']
  },
  {
    name: "a plugin with the name of a built-in one",
    files: { "a/mod.ts": right("", 'name: "protocol-mqtt"') },
    manifest: entry("./a"),
    says: ["./a", 'there is another "protocol-mqtt"']
  },
  {
    name: "one plugin twice",
    files: { "a/mod.ts": right() },
    manifest: entry("./a") + entry("./a"),
    says: ["plugin.1.use", "./a", "each plugin once"]
  },
  {
    name: "a missing dependency: no meta store",
    manifest: entry("meta-raft", "enabled = false\n"),
    says: [":3: plugin.0.enabled", "meta-raft", "a meta store"]
  },
  {
    name: "a missing dependency: no key-value store, though the engine is there",
    files: {
      "a/mod.ts": right("", 'kind: "storage", engines: [{ name: "memory", modes: ["memory"] }]')
    },
    manifest:
      entry("./a") + ["storage-memory", "storage-sqlite"].map((use) => entry(use, "enabled = false\n")).join(""),
    says: [":5: plugin.1.enabled", "storage-memory", "a key-value store"]
  },
  {
    name: "a missing dependency: an engine that no plugin brings",
    files: { "a/mod.ts": right() },
    manifest: `[topics]\nengine = "jsonl"\n${entry("./a")}`,
    says: [":2: topics.engine", "jsonl", "memory"]
  },
  {
    name: "an engine that two plugins bring",
    files: { "a/mod.ts": right("", 'kind: "storage", engines: [{ name: "memory", modes: ["memory"] }]') },
    manifest: entry("./a"),
    says: ['engine "memory"', "storage-memory", "third-party", "each engine once"]
  },
  {
    name: "another contract version",
    files: { "a/mod.ts": right("", "contractVersion: 999") },
    manifest: entry("./a"),
    says: ["third-party", "contract version 1", "999"]
  },
  {
    name: "an option of a wrong type",
    files: { "a/mod.ts": right() },
    manifest: entry("./a", '[plugin.options]\nsize = "large"\n'),
    says: [":4: third-party.size", '"large"', "a number"]
  },
  {
    name: "an unknown option",
    files: { "a/mod.ts": right() },
    manifest: entry("./a", "[plugin.options]\nsiz = 1\n"),
    says: [":4: third-party.siz", 'did you mean "size"?']
  },
  {
    name: "options without a schema of valibot",
    files: {
      "a/mod.ts": right(
        "",
        'options: { "~standard": { version: 1, vendor: "other", validate: (value) => ({ value }) } }'
      )
    },
    manifest: entry("./a"),
    says: ["third-party", "strictObject", '"other"']
  },
  {
    name: "a schema that throws",
    files: {
      "a/mod.ts": right("", 'options: v.pipe(v.strictObject({}), v.check(() => { throw new Error("boom in schema") }))')
    },
    manifest: entry("./a"),
    says: ["third-party", "boom in schema"]
  },
  {
    name: "a path out of the manifest's folder",
    manifest: entry("../elsewhere/mod.ts"),
    says: [":2: plugin.0.use", "../elsewhere/mod.ts", "an absolute path"]
  },
  {
    name: "a path that is not there",
    manifest: entry("./none/mod.ts"),
    says: ["./none/mod.ts", "that is there"]
  },
  {
    name: "a package that is not installed, and no built-in name",
    manifest: entry("protocol-mqqt"),
    says: ["protocol-mqqt", "node_modules", 'did you mean "protocol-mqtt"?']
  },
  {
    name: "a link to a folder out of the manifest's",
    links: { linked: "OUT" },
    manifest: entry("./linked"),
    says: ["./linked", "symbolic link", "an absolute path"]
  },
  {
    name: "an entry that is a link out of its folder",
    links: { "a/mod.ts": "OUT/mod.ts" },
    manifest: entry("./a"),
    says: ["./a", "mod.ts is a symbolic link", "copy it"]
  },
  {
    name: "a package that is a link out of node_modules",
    links: { "node_modules/linked": "OUT" },
    manifest: entry("linked"),
    says: ["linked", "symbolic link", "use = "]
  },
  {
    name: "an import out of the folder",
    files: { "a/mod.ts": right(imports("./deep/b.ts")), "a/deep/b.ts": imports("../../c.ts"), "c.ts": "" },
    manifest: entry("./a"),
    says: ["./a", "deep/b.ts", "../../c.ts", "lies outside"]
  },
  {
    name: "an import out of the folder by a computed name",
    files: { "a/mod.ts": right(`const c = "c.ts"\n${computed('"../" + c')}`), "c.ts": "" },
    manifest: entry("./a"),
    says: ["./a", "mod.ts", "../c.ts", "lies outside"]
  },
  {
    name: "an import out of the folder by a computed name without an extension",
    files: { "a/mod.ts": right(`const c = "c"\n${computed('"../" + c')}`), "c.ts": 'console.error("c ran")' },
    manifest: entry("./a"),
    says: ["./a", "lies outside"]
  },
  {
    name: "an import through a link out of the folder",
    files: { "a/mod.ts": right(imports("./link.ts")) },
    links: { "a/link.ts": "OUT/mod.ts" },
    manifest: entry("./a"),
    says: ["./a", "./link.ts", "a symbolic link to", "copy the file there"]
  },
  {
    name: "a computed import through a link out of the folder",
    files: { "a/mod.ts": right(`const c = "link"\n${computed('"./" + c + ".ts"')}`) },
    links: { "a/link.ts": "OUT/mod.ts" },
    manifest: entry("./a"),
    says: ["./a", "./link.ts", "a symbolic link to"]
  },
  {
    name: "an import that is not there",
    files: { "a/mod.ts": right(imports("./b.ts")) },
    manifest: entry("./a"),
    says: ["./a", 'mod.ts imports "./b.ts"', "which is not"]
  },
  {
    name: "a package of its own node_modules",
    files: { "a/mod.ts": right(imports("dep")), "a/node_modules/dep/index.js": 'console.error("dep ran")' },
    manifest: entry("./a"),
    says: ["./a", 'imports "dep"', "bundle it"]
  },
  {
    name: "a part of effect that the host does not give",
    files: { "a/mod.ts": right(imports("effect/sql")) },
    manifest: entry("./a"),
    says: ["./a", "effect/sql", "manifold, effect, valibot"]
  },
  {
    name: "a name that a module does not export",
    files: {
      "a/mod.ts": right(`${imports("./b.ts", "{ nothing }")}console.error(nothing)`),
      "a/b.ts": "export const something = 1"
    },
    manifest: entry("./a"),
    says: ["./a", "nothing"]
  },
  {
    name: "a wrong digest",
    files: { "a/mod.ts": right('console.error("ran")') },
    manifest: entry("./a", `digest = "sha256-${HEX}"\n`),
    says: [":3: plugin.0.digest", "./a", `found "sha256-${HEX}"`, "allowed: sha256-"]
  },
  {
    name: "a digest that is none",
    files: { "a/mod.ts": right('console.error("ran")') },
    manifest: entry("./a", 'digest = "md5-00"\n'),
    says: [":3: plugin.0.digest", "md5-00", "sha256-"]
  },
  {
    name: "a digest of what is built in",
    manifest: entry("protocol-mqtt", `digest = "sha256-${HEX}"\n`),
    says: [":3: plugin.0.digest", "protocol-mqtt"]
  },
  {
    name: "a file that is no plugin",
    files: { "a/mod.ts": "export const other = 1" },
    manifest: entry("./a"),
    says: ["./a", 'exports "plugin"', "other"]
  },
  {
    name: "a file that is no code",
    files: { "a.toml": "" },
    manifest: entry("./a.toml"),
    says: ["./a.toml", ".ts .mts .js or .mjs"]
  },
  {
    name: "CommonJS",
    files: { "a/mod.js": "module.exports = { plugin: {} }", "a/package.json": '{ "main": "mod.js" }' },
    manifest: entry("./a"),
    says: ["./a", RUNS_ON_DENO ? "module is not defined" : 'exports "plugin"']
  },
  {
    name: "one that throws while it is loaded",
    files: { "a/mod.ts": 'throw new Error("boom at load")' },
    manifest: entry("./a"),
    says: ["./a", "boom at load (at mod.ts:1:"]
  },
  {
    name: "one that throws something odd while it is loaded",
    files: { "a/mod.ts": "throw Object.create(null)" },
    manifest: entry("./a"),
    says: ["./a", "cannot be shown"]
  },
  {
    name: "a syntax error, in the entry",
    files: { "a/mod.ts": "const a = 1\nconst b = ;\n" },
    manifest: entry("./a"),
    says: ["./a", "mod.ts:2:11"]
  },
  {
    name: "a syntax error, further in",
    files: { "a/mod.ts": right(imports("./b.ts")), "a/b.ts": "\n\nlet a = {\n" },
    manifest: entry("./a"),
    says: ["./a", "b.ts:3:", "syntax"]
  },
  {
    name: "a getter that throws",
    files: { "a/mod.ts": 'export const plugin = { get name() { throw new Error("boom in name") } }' },
    manifest: entry("./a"),
    says: ["./a", "boom in name"]
  },
  {
    name: "a Proxy that answers nothing right",
    files: { "a/mod.ts": "export const plugin = new Proxy({}, { get: () => () => {} })" },
    manifest: entry("./a"),
    says: ["./a", '"name"']
  },
  {
    name: "one that ends the process",
    files: { "a/mod.ts": "process.exit(0)" },
    manifest: entry("./a"),
    says: ["./a", "the process ended while it was loaded"]
  }
]

describe("bad plugins", { skip: IS_EXTERNAL && "needs a command of its own" }, () => {
  let root = ""
  let out = ""
  before(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "manifold-bad-plugin-")))
    out = join(root, "out")
    mkdirSync(out)
    writeFileSync(join(out, "mod.ts"), right('console.error("outside ran")'))
  })
  after(() => rmSync(root, { recursive: true, force: true }))

  /** The manifest of a folder of its own with what the case needs. */
  function lay({ files = {}, links = {}, manifest }: Omit<Case, "name" | "says">): string {
    const home = mkdtempSync(join(root, "case-"))
    const place = (name: string): string => {
      mkdirSync(dirname(join(home, name)), { recursive: true })
      return join(home, name)
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(place(name), text)
    for (const [name, target] of Object.entries(links)) symlinkSync(target.replace(/^OUT/, out), place(name))
    writeFileSync(join(home, "manifold.toml"), manifest)
    return join(home, "manifold.toml")
  }

  async function fails(words: ReadonlyArray<string>, says: ReadonlyArray<string>): Promise<void> {
    const { code, signal, stdout, stderr } = await runCommand(words)
    assert.deepStrictEqual(
      { stdout, signal, lines: stderr.split("\n").length },
      { stdout: "", signal: null, lines: 2 },
      stderr
    )
    assert.notStrictEqual(code, 0)
    for (const part of says) assert.ok(stderr.includes(part), `${part}\n${stderr}`)
  }

  for (const one of cases) {
    test(one.name, async () => await fails(["check-config", "--config", lay(one)], one.says))
  }

  test("start says the same, and starts nothing", async () => {
    const config = lay({ files: { "a/mod.ts": 'throw new Error("boom at load")' }, manifest: entry("./a") })
    await fails(["start", "--config", config, "--data", join(root, "data")], ["./a", "boom at load"])
  })

  test("one whose import never settles", { timeout: 30_000 }, async () => {
    const config = lay({ files: { "a/mod.ts": "await new Promise(() => {})" }, manifest: entry("./a") })
    await fails(["check-config", "--config", config], ["./a", "has not after 10 s"])
  })

  test("plugin check tells the same of what no manifest names, and the digest that a manifest is right with", async () => {
    const config = lay({
      files: { "good/mod.ts": right(imports("./b.ts")), "good/b.ts": "", "bad/mod.ts": "let a = ;" },
      manifest: ""
    })
    const folder = dirname(config)
    await fails(["plugin", "check", join(folder, "bad"), "--config", config], [join(folder, "bad"), "mod.ts:1:9"])
    await fails(["plugin", "check", join(folder, "none"), "--config", config], [join(folder, "none"), "that is there"])
    const { code, stdout, stderr } = await runCommand(["plugin", "check", join(folder, "good"), "--config", config])
    assert.deepStrictEqual([code, stderr], [0, ""])
    const digest = /^digest = "sha256-[0-9a-f]{64}"$/m.exec(stdout)?.[0] ?? ""
    writeFileSync(config, entry("./good", `${digest}\n`))
    const checked = await runCommand(["check-config", "--config", config])
    assert.deepStrictEqual([checked.code, checked.stderr], [0, ""])
    const listed = await runCommand(["plugin", "list", "--config", config, "--output", "json"])
    const found = (JSON.parse(listed.stdout) as ReadonlyArray<Record<string, unknown>>).find(
      ({ name }) => name === "third-party"
    )
    const { origin, state, kind, contractVersion, runs } = found ?? {}
    assert.deepStrictEqual(
      { origin, state, kind, contractVersion, runs, digest: `digest = "${found?.["digest"]}"` },
      { origin: "path", state: "starts", kind: "protocol", contractVersion: 1, runs: "shard", digest }
    )
    const { properties } = (found?.["options"] ?? {}) as { readonly properties?: unknown }
    assert.deepStrictEqual(properties, { size: { default: 1, type: "number" } })
    writeFileSync(join(folder, "good/b.ts"), "\n")
    await fails(["check-config", "--config", config], ["plugin.0.digest", "./good"])
  })

  test("a package beside the manifest, stored as some package managers store it", async () => {
    const store = "node_modules/.pnpm/@scope+one@1.0.0/node_modules/@scope/one"
    const config = lay({
      files: { [`${store}/mod.ts`]: right() },
      links: { "node_modules/@scope/one": "../.pnpm/@scope+one@1.0.0/node_modules/@scope/one" },
      manifest: entry("@scope/one", "[plugin.options]\nsize = 2\n")
    })
    const { code, stderr } = await runCommand(["check-config", "--config", config])
    assert.deepStrictEqual([code, stderr], [0, ""])
    const { stdout } = await runCommand(["plugin", "list", "--config", config])
    assert.match(stdout, /^third-party .* package +starts +sha256-/m)
  })
})
