/** Starts that must fail: one clear line, exit code not 0, nothing half started (DESIGN 13). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { IS_EXTERNAL, runCommand } from "../support/broker.ts"

const PORTS = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]

describe.skipIf(IS_EXTERNAL)("bad start", () => {
  let folder = ""
  let server: Server
  let takenPort = 0
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "manifold-bad-"))
    server = createServer()
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    const address = server.address()
    takenPort = typeof address === "object" && address !== null ? address.port : 0
  })
  afterAll(() => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  interface Fault {
    readonly config?: string
    readonly set?: Record<string, string>
    readonly args?: ReadonlyArray<string>
    /** Each must stand in the same line of stderr. */
    readonly says: ReadonlyArray<RegExp>
  }
  /** Starts it and asserts that it fails as it should. */
  async function fails(fault: Fault): Promise<void> {
    // A list of plugins in the file replaces the default one: then there is nothing to set.
    const ports = fault.config?.includes("[[plugin]]") === true ? [] : PORTS
    const args = ["start", "--data", join(folder, "data"), ...ports.flatMap((name) => ["--set", `${name}=127.0.0.1:0`])]
    if (fault.config !== undefined) {
      writeFileSync(join(folder, "manifold.toml"), fault.config)
      args.push("--config", join(folder, "manifold.toml"))
    }
    for (const [key, value] of Object.entries(fault.set ?? {})) args.push("--set", `${key}=${value}`)
    const { code, signal, stdout, stderr } = await runCommand([...args, ...(fault.args ?? [])])
    expect([signal, code === 0 ? "exit code 0" : "failed"]).toEqual([null, "failed"])
    expect(stdout).not.toMatch(/^ready/m)
    const lines = stderr.split("\n").filter((line) => fault.says.every((pattern) => pattern.test(line)))
    expect({ stderr, lines: lines.length }).toEqual({ stderr, lines: 1 })
    expect(stderr).not.toMatch(/^\s+at .*[:(]\d+/m)
    expect(stderr).not.toMatch(/Effect|Cause|FiberFailure|UnhandledPromise/)
  }

  test("a port in use", async () => {
    await fails({
      set: { "protocol-kafka.tcp": `127.0.0.1:${takenPort}` },
      says: [/protocol-kafka/, new RegExp(`127\\.0\\.0\\.1:${takenPort}`), /in use/]
    })
  })

  test("a port in use leaves nothing half started: the other ports are closed when it ends", async () => {
    const probe = createServer()
    await new Promise<void>((done) => probe.listen(0, "127.0.0.1", done))
    const address = probe.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    await new Promise((done) => probe.close(done))
    await fails({
      set: { "protocol-mqtt.tcp": `127.0.0.1:${port}`, "admin-http.tcp": `127.0.0.1:${takenPort}` },
      says: [/admin-http/, /in use/]
    })
    const isOpen = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy()
        done(true)
      })
      socket.on("error", () => done(false))
    })
    expect(isOpen).toBe(false)
  })

  test("an unknown plugin", async () => {
    await fails({ config: '[[plugin]]\nuse = "protocol-mqqt"\n', says: [/protocol-mqqt/, /protocol-mqtt/] })
  })
  test("an unknown key names the nearest known one", async () => {
    await fails({ config: "[node]\nshardz = 2\n", says: [/node\.shardz/, /shards/] })
    await fails({ config: "[nodes]\nid = 'x'\n", says: [/nodes/, /node\b/] })
    await fails({
      config: '[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcpp = "127.0.0.1:0"\n',
      says: [/tcpp/, /\btcp\b/]
    })
    await fails({ set: { "node.shardz": "1" }, says: [/node\.shardz/, /shards/] })
    await fails({ set: { "protocol-mqtt.tcpp": "127.0.0.1:0" }, says: [/protocol-mqtt\.tcpp/, /\btcp\b/] })
  })
  test("a value of a wrong kind or outside its range", async () => {
    await fails({ config: '[node]\nshards = "many"\n', says: [/node\.shards/, /many/] })
    await fails({ config: "[node]\nshards = 0\n", says: [/node\.shards/, /\b0\b/] })
    await fails({ config: "[topics]\npartitions = -3\n", says: [/topics\.partitions/, /-3/] })
    await fails({
      config: '[topics]\nauto_create_mqtt = "maybe"\n',
      says: [/topics\.auto_create_mqtt/, /maybe/, /memory/, /default/, /off/]
    })
    await fails({ set: { "protocol-mqtt.tcp": "127.0.0.1:99999" }, says: [/protocol-mqtt\.tcp/, /99999/] })
    await fails({ set: { "protocol-mqtt.tcp": "nonsense" }, says: [/protocol-mqtt\.tcp/, /nonsense/] })
  }, 30_000)
  test("an engine or mode that is not there yet says what there is", async () => {
    await fails({ config: '[topics]\nmode = "memory"\n', says: [/topics\.mode/, /segment/, /hybrid \| persistent/] })
    await fails({
      config: '[topics]\nengine = "memory"\nmode = "persistent"\n',
      says: [/topics\.mode/, /persistent/, /memory/]
    })
    await fails({
      config: '[[topics.rule]]\nmatch = "a.*"\nengine = "granite"\n',
      says: [/engine/, /granite/, /segment/, /memory/]
    })
  })
  test("TOML that is none names the line", async () => {
    await fails({ config: '[node]\nid = "a"\nshards = = 2\n', says: [/manifold\.toml/, /\b3\b/] })
  })
  test("a configuration file that is not there", async () => {
    await fails({ args: ["--config", join(folder, "absent.toml")], says: [/absent\.toml/] })
  })
  test("a data directory that is a file, or lies below one", async () => {
    writeFileSync(join(folder, "file"), "")
    await fails({ args: ["--data", join(folder, "file")], says: [/file/, /data|director/i] })
    await fails({ set: { "node.data": join(folder, "file/below") }, says: [/file\/below/, /data|director/i] })
  })
  test("an address that is not loopback, without --insecure", async () => {
    for (const name of PORTS)
      await fails({
        set: { [name]: "0.0.0.0:0" },
        says: [new RegExp(name.split(".")[0] ?? ""), /0\.0\.0\.0/, /--insecure/]
      })
  }, 20_000)
  test("two bindings that overlap with equal rank", async () => {
    const config =
      '[[binding]]\ntopic = "one"\nfilter = "a/+/b"\n[[binding]]\ntopic = "two"\nfilter = "a/c/+"\n[[binding]]\ntopic = "three"\nfilter = "a/+/b"\n'
    await fails({ config, says: [/binding/, /a\/\+\/b/, /overlap/] })
  })
  test("a binding with a filter or topic that is none", async () => {
    await fails({ config: '[[binding]]\ntopic = "one"\nfilter = "a/#/b"\n', says: [/a\/#\/b/] })
    await fails({ config: '[[binding]]\ntopic = "o/ne"\nfilter = "a/+"\n', says: [/o\/ne/] })
  })
  test("an unknown command or option", async () => {
    for (const args of [["strat"], ["start", "--bogus"]]) {
      const { code, stderr } = await runCommand(args)
      expect([args, code === 0]).toEqual([args, false])
      expect(stderr).toContain(args.at(-1) ?? "")
      expect(stderr).not.toMatch(/^\s+at .*[:(]\d+/m)
    }
  })

  /** A third party's plugin in a folder of its own. */
  function plugin(name: string, source: string): string {
    const directory = join(folder, name)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, "mod.ts"), source)
    return `[[plugin]]\nuse = ${JSON.stringify(join(directory, "mod.ts"))}\n`
  }
  const exportsOf = (contractVersion: number, layer: string): string => `import * as v from "valibot"
import { Effect, Layer } from "effect"
export const plugin = { name: "third-party", version: "1.0.0", contractVersion: ${contractVersion}, kind: "protocol", runs: "node", options: v.strictObject({}), resources: [], layer: () => ${layer} }
export default plugin
void Effect; void Layer
`
  test("a plugin of another contract version", async () => {
    await fails({ config: plugin("old", exportsOf(999, "Layer.empty")), says: [/third-party/, /contract/i, /999/] })
  })
  test("a plugin that throws while it is loaded, or while it starts, or exports nothing", async () => {
    await fails({ config: plugin("throws", 'throw new Error("boom at load")\n'), says: [/throws/, /boom at load/] })
    const dying = exportsOf(1, 'Layer.effectDiscard(Effect.sync(() => { throw new Error("boom at start") }))')
    await fails({ config: plugin("dying", dying), says: [/third-party/, /boom at start/] })
    await fails({ config: plugin("empty", "export {}\n"), says: [/empty/, /plugin/] })
  })
  test("a plugin's path that is not there", async () => {
    await fails({ config: '[[plugin]]\nuse = "./plugins/none/mod.ts"\n', says: [/plugins\/none\/mod\.ts/] })
  })

  test("check-config names key, line, what was found, what is allowed; and is silent on success but for one line", async () => {
    const file = join(folder, "checked.toml")
    writeFileSync(file, '[node]\nid = "a"\nshardz = 2\n\n[topics]\npartitions = "four"\n')
    const bad = await runCommand(["check-config", "--config", file])
    expect(bad.code).not.toBe(0)
    const text = bad.stdout + bad.stderr
    expect(text).toMatch(/.*\b3\b.*node\.shardz.*shards|.*node\.shardz.*\b3\b.*shards/)
    expect(text).toMatch(/topics\.partitions/)
    expect(text).toMatch(/four/)
    expect(text).toMatch(/\b6\b/)
    writeFileSync(file, '[node]\nid = "a"\nshards = 2\n')
    const good = await runCommand(["check-config", "--config", file])
    expect(good.code).toBe(0)
  })
})
