/** Plugins from disk that are right, however they are laid out and wherever they lie: by the real command (docs/plugins.md). */
import assert from "node:assert"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { after, before, describe, test } from "node:test"
import { IS_EXTERNAL, runCommand, startBroker } from "../support/broker.ts"

/** What a plugin imports is put together, so that it is not this file that does. */
const IMPORT = "import"
const imports = (names: string, specifier: string): string =>
  [IMPORT, names, "from", JSON.stringify(specifier), "\n"].join(" ")

/** A protocol that announces a listener with the address that `expression` gives when it starts. */
const announcing = (name: string, expression: string, before = ""): string => `${before}
import * as v from "valibot"
import { Effect, Layer } from "effect"
import { CONTRACT_VERSION, Listeners } from "manifold"
const announce = Effect.gen(function* () {
  const listeners = yield* Listeners
  const address = String(yield* Effect.promise(async () => ${expression}))
  yield* listeners.announce({ plugin: "${name}", listener: "here", address })
})
export const plugin = { name: "${name}", version: "1.0.0", contractVersion: CONTRACT_VERSION, kind: "protocol",
  runs: "node", options: v.strictObject({}), layer: () => Layer.effectDiscard(announce) }
`

const MIXED = `#!/usr/bin/env bun
${imports("data", "./data.json")}${imports("{ FIVE }", "./sub/five.mjs")}${imports("* as Schema", "effect/Schema")}
${imports("{ Schema as Same }", "effect")}${imports("{ basename }", "node:path")}${imports("type { Nothing }", "./types.ts")}
enum Level { low = 1 }
class Box { constructor(private readonly inner: number) {} get value(): number { return this.inner } }
const late = await Promise.resolve(3)
let nothing: Nothing | undefined
void nothing
`

describe("plugins from disk", { skip: IS_EXTERNAL && "needs a command of its own" }, () => {
  let root = ""
  before(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "manifold-plugin-")))
  })
  after(() => rmSync(root, { recursive: true, force: true }))

  function lay(folder: string, files: Readonly<Record<string, string>>): string {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, folder, name)), { recursive: true })
      writeFileSync(join(root, folder, name), text)
    }
    return join(root, folder)
  }

  /** Starts a broker with the plugins that are named, by absolute path, and returns the address that each announced. */
  async function announced(...entries: ReadonlyArray<string>): Promise<ReadonlyArray<string>> {
    const config = entries.map((entry) => `[[plugin]]\n${entry}\n`).join("")
    const broker = await startBroker({ config, ownListeners: true })
    const found = [...broker.readyLine.matchAll(/ [a-z-]+\.here=(\S+)/g)].map((match) => match[1] ?? "")
    await broker.stop()
    return found
  }

  test("a manifest from a pipe is read once, also where it names a plugin", async () => {
    const folder = lay("piped", { "mod.ts": announcing("piped-one", '"127.0.0.1:5"') })
    const manifest = join(root, "piped.toml")
    spawnSync("mkfifo", [manifest])
    const text = `[node]\nid = "from-a-pipe"\n[[plugin]]\nuse = ${JSON.stringify(join(folder, "mod.ts"))}\n`
    const written = writeFile(manifest, text)
    const { stdout, stderr, code } = await runCommand(["config", "print", "--config", manifest])
    await written
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.match(stdout, /^id = "from-a-pipe"$/m)
    assert.match(stdout, /piped\/mod\.ts/)
  })

  test("TypeScript, JSON, JavaScript, the host's modules and built-ins, and what is imported when it runs", async () => {
    const folder = lay("mixed", {
      "mod.ts": announcing(
        "mixed",
        `[data.one, FIVE, Level.low, new Box(2).value, late, Schema.String === Same.String, basename("/a/six"), (await ${IMPORT}("./later.ts")).later].join("-")`,
        MIXED
      ),
      "data.json": '{ "one": 1 }',
      "sub/five.mjs": "export const FIVE = 5\n",
      "later.ts": "export const later: number = 7\n",
      "types.ts": "export interface Nothing { readonly no: never }\n",
      // Not the host's: another copy would know none of its services.
      "node_modules/effect/package.json": '{ "name": "effect", "main": "index.js" }',
      "node_modules/effect/index.js": 'throw new Error("not the effect of the host")\n'
    })
    assert.deepStrictEqual(await announced(`use = ${JSON.stringify(folder)}`), ["1-5-1-2-3-true-six-7"])
  })

  test("with a digest, too, and the digest is that of the same files elsewhere", async () => {
    const files = {
      "mod.ts": announcing("held", `(await ${IMPORT}("./later.ts")).later`),
      "later.ts": "export const later = 8\n"
    }
    const [one, two] = [lay("held", files), lay("elsewhere/held", files)]
    const { stdout } = await runCommand(["plugin", "check", one])
    const digest = /^digest = .*$/m.exec(stdout)?.[0] ?? ""
    assert.match(digest, /^digest = "sha256-[0-9a-f]{64}"$/)
    assert.deepStrictEqual(await announced(`use = ${JSON.stringify(one)}\n${digest}`), ["8"])
    assert.deepStrictEqual(await announced(`use = ${JSON.stringify(two)}\n${digest}`), ["8"])
  })

  test("two of one folder, and one in a folder of another", async () => {
    const folder = lay("many", {
      "a.ts": announcing("a", "1"),
      "b.js": announcing("b", `(await ${IMPORT}("./shared.ts")).shared`),
      "shared.ts": "export const shared = 2\n",
      "inner/mod.ts": announcing("c", "3")
    })
    const uses = ["a.ts", "b.js", "inner"].map((name) => `use = ${JSON.stringify(join(folder, name))}`)
    assert.deepStrictEqual([...(await announced(...uses))].sort(), ["1", "2", "3"])
  })

  for (const name of ["with space", "per%20cent", "ha#sh", "ünï", "do.ts", "(paren)", "dollar$`"]) {
    test(`in a folder called ${name}`, async () => {
      const folder = lay(name, {
        "mod.ts": announcing(
          "odd",
          `four + (await ${IMPORT}("./" + "la ter.ts")).later`,
          imports("{ four }", "./four.ts")
        ),
        "four.ts": "export const four = 4\n",
        "la ter.ts": "export const later = 5\n"
      })
      assert.deepStrictEqual(await announced(`use = ${JSON.stringify(folder)}`), ["9"])
    })
  }

  test("a folder that an absolute path names by a link", async () => {
    lay("release-1", { "mod.ts": announcing("linked", "1"), "b.ts": "" })
    symlinkSync("release-1", join(root, "current"))
    assert.deepStrictEqual(await announced(`use = ${JSON.stringify(join(root, "current"))}`), ["1"])
  })
})
