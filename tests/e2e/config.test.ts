/** `manifold config print` and `config schema` as a person runs them: layers, faults, exit codes, a plugin from disk. */
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { IS_EXTERNAL, runCommand } from "../support/broker.ts"

const folder = mkdtempSync(join(tmpdir(), "manifold-config-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const PLUGIN = `import { Layer } from "effect"
import * as v from "valibot"
export const plugin = {
  name: "mine", version: "1.0.0", contractVersion: 1, kind: "protocol", runs: "node",
  options: v.strictObject({
    tls: v.optional(v.strictObject({ port: v.optional(v.number(), 1) }), {}),
    token: v.pipe(v.string(), v.description("what the other side knows"))
  }),
  layer: () => Layer.empty
}
`

describe.skipIf(IS_EXTERNAL)("config", () => {
  test("print: what is printed is printed again, and every layer has its name", async () => {
    const path = write("one.toml", '[node]\nid = "a"\n[[plugin]]\nuse = "protocol-kafka"\n')
    const set = ["--set", "protocol-kafka.tcp=127.0.0.1:0", "--data", "./there"]
    const first = await runCommand(["config", "print", "--config", path, ...set])
    expect({ code: first.code, stderr: first.stderr }).toEqual({ code: 0, stderr: "" })
    const second = await runCommand(["config", "print", "--config", write("two.toml", first.stdout)])
    expect(second.stdout).toBe(first.stdout)
    const { stdout } = await runCommand(["config", "print", "--origin", "--config", path, ...set])
    expect(stdout).toMatch(/^data = "\.\/there" +# --set node\.data$/m)
    expect(stdout).toMatch(/^id = "a" +# /m)
    expect(stdout).toContain(`  # ${path}:2\n`)
    expect(stdout).toMatch(/^tcp = "127\.0\.0\.1:0" +# --set protocol-kafka\.tcp$/m)
    expect(stdout).toMatch(/^shards = 1 +# default$/m)
  })

  test("print --output json, with and without origins", async () => {
    const path = write("json.toml", "[topics]\npartitions = 3\n")
    const plain = await runCommand(["config", "print", "--output", "json", "--config", path])
    expect(JSON.parse(plain.stdout).topics.partitions).toBe(3)
    const { stdout } = await runCommand(["config", "print", "--output=json", "--origin", "--config", path])
    const { configuration, origins } = JSON.parse(stdout)
    expect(configuration).toEqual(JSON.parse(plain.stdout))
    expect(origins["topics.partitions"]).toBe(`${path}:2`)
    const wrong = await runCommand(["config", "print", "--output", "yaml", "--config", path])
    expect([wrong.code, wrong.stdout]).toEqual([2, ""])
    expect(wrong.stderr).toContain('unknown output "yaml"; known: toml, json')
  })

  test("print: of a configuration with faults what can be printed, the faults on stderr", async () => {
    const path = write("faults.toml", '[node]\nshards = "many"\nidd = 1\n')
    const { code, stdout, stderr } = await runCommand(["config", "print", "--config", path])
    expect(code).toBe(1)
    expect(stdout).toContain('shards = "many"\n')
    expect(stderr.trim().split("\n").length).toBe(2)
    const broken = await runCommand(["config", "print", "--config", write("broken.toml", "a = = 1\n")])
    expect([broken.code, broken.stdout]).toEqual([1, ""])
  })

  test("a plugin from disk: its options in print and schema, its secret in neither", async () => {
    write("mine.ts", PLUGIN)
    const text = '[[plugin]]\nuse = "./mine.ts"\n[plugin.options]\ntoken = "hunter2"\n'
    const path = write("disk.toml", text)
    const set = ["--set", "mine.tls.port=7"]
    const { code, stdout } = await runCommand(["config", "print", "--origin", "--config", path, ...set])
    expect(code).toBe(0)
    expect(stdout).toContain(
      `token = "(not shown)"  # ${path}:4\n[plugin.options.tls]\nport = 7  # --set mine.tls.port\n`
    )
    expect(stdout).not.toContain("hunter2")
    const again = await runCommand(["check-config", "--config", write("again.toml", stdout)])
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('found "(not shown)"; allowed: the secret itself, which config print does not tell')
    const schema = await runCommand(["config", "schema", "--config", path])
    expect(schema.code).toBe(0)
    expect(JSON.parse(schema.stdout).definitions.mine.properties.token).toEqual({
      type: "string",
      description: "mine: what the other side knows"
    })
  })

  test("schema: a plugin that does not load is told, and the rest is printed", async () => {
    const path = write("lost.toml", '[[plugin]]\nuse = "./lost.ts"\n')
    const { code, stdout, stderr } = await runCommand(["config", "schema", "--config", path])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^manifold: plugin "\.\/lost\.ts": allowed: /)
    expect(Object.keys(JSON.parse(stdout).definitions)).toContain("protocol-mqtt")
  })

  test("rules whose expressions are none are named: by check-config, and by a start", async () => {
    const file = write(
      "rules.toml",
      `[[plugin]]
use = "protocol-mqtt"
[[plugin.options.topic_rewrite]]
name = "20-old"
source_topic = "a/#"
regex = "("
dest_topic = "b"
[[plugin.options.blacklist]]
name = "nobody"
blacklist_type = "user_match"
resource_name = "(?=a)"
`
    )
    for (const verb of ["check-config", "start"]) {
      const { code, stderr } = await runCommand([verb, "--config", file])
      expect([verb, code]).toEqual([verb, 1])
      expect(stderr).toMatch(/rules\.toml:6: protocol-mqtt\.topic_rewrite\.0\.regex: found "\(" in "20-old"; .*RE2/)
      expect(stderr).toMatch(/rules\.toml:8: protocol-mqtt\.blacklist\.0: .*"nobody".*RE2/)
    }
  })

  const files: ReadonlyArray<readonly [string, string | Uint8Array, RegExp]> = [
    ["larger than its bound", "#".repeat(1_048_577), /it is larger than 1048576 bytes/],
    ["not UTF-8", Buffer.from('[node]\nid = "\u00e4"\n', "latin1"), /line 2 is not UTF-8/],
    ["nested without end", `a = ${"[".repeat(100_000)}\n`, /nested\.toml:1: column \d+: .*nested/],
    ["tables without end", `a${".a".repeat(100_000)} = 1\n`, /more than 32 tables within tables/],
    ["a key twice, CR LF", "\u{feff}[node]\r\nid = 'a'\r\nid = 'b'\r\n", /nested\.toml:3: /]
  ]
  for (const [name, content, says] of files) {
    test(`a file that is ${name}: one line, exit code 1`, async () => {
      const { code, stdout, stderr } = await runCommand(["check-config", "--config", write("nested.toml", content)])
      expect([code, stdout]).toEqual([1, ""])
      expect(stderr.trim().split("\n").length).toBe(1)
      expect(stderr).toMatch(says)
    })
  }
})
