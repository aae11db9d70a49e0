/** Start, configuration from file, environment and command line, graceful stop (DESIGN 13; promise 7 of section 14). */
import { afterEach, describe, expect, test } from "bun:test"
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileName, hostTarget } from "../../scripts/packaging/targets.ts"
import { type Broker, type BrokerOptions, IS_EXTERNAL, ROOT, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, propertyOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { RawWebSocket } from "../support/raw-websocket.ts"
import { start, testWith } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const running: Array<Broker> = []
afterEach(() => {
  RawMqtt.cutAll()
  RawKafka.cutAll()
  for (const broker of running.splice(0)) broker.kill()
})
async function started(options: BrokerOptions): Promise<Broker> {
  const broker = await startBroker(options)
  running.push(broker)
  return broker
}
/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const address = server.address()
  await new Promise((done) => server.close(done))
  return typeof address === "object" && address !== null ? address.port : 0
}

describe.skipIf(IS_EXTERNAL)("lifecycle", () => {
  for (const shards of SHARD_COUNTS) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`shards = ${shards}, ${signal}: clients are told, exit code 0`, async () => {
        const broker = await started({ shards })
        const recent = await RawMqtt.connect(broker.mqtt, { version: 5 })
        const old = await RawMqtt.connect(broker.mqtt, { version: 4 })
        const watcher = await RawMqtt.connect(broker.mqtt, { version: 5, will: { topic: "gone", payload: "" } })
        const web = await RawWebSocket.open(broker.websocket)
        web.binary(encode.connect({ version: 5, clientId: "web" }))
        expect((await web.bytes(2))[0]).toBe(0x20)
        const kafka = await RawKafka.open(broker.kafka)
        const topic = uniqueLevel()
        await kafka.topic(topic)
        kafka.fetchRequest(topic, [{ partition: 0, offset: 0 }], { maxWait: 60_000 })
        broker.signal(signal)
        for (const client of [recent, watcher]) expect((await client.find("disconnect")).code).toBe(0x8b)
        const ended = await broker.end(8_000)
        expect([ended.code, ended.signal]).toEqual([0, null])
        await Promise.all([recent.closed(), old.closed(), web.closed(), kafka.closed()])
        expect(old.drain()).toEqual([])
      }, 20_000)
    }

    test(`shards = ${shards}: clients are sent to another server where one is named`, async () => {
      const broker = await started({ shards, set: { "protocol-mqtt.server_reference": "other.example:1883" } })
      const recent = await RawMqtt.connect(broker.mqtt, { version: 5 })
      const old = await RawMqtt.connect(broker.mqtt, { version: 4 })
      broker.signal("SIGTERM")
      const told = await recent.find("disconnect")
      expect([told.code, propertyOf(told.properties, "serverReference")]).toEqual([0x9c, "other.example:1883"])
      await Promise.all([recent.closed(), old.closed(), broker.end(8_000)])
      expect(old.drain()).toEqual([])
    })

    test(`shards = ${shards}: a client that reads nothing does not hold up the stop, nor does load`, async () => {
      const broker = await started({ shards })
      const stuck = await RawMqtt.connect(broker.mqtt)
      await stuck.subscribe("#")
      stuck.socket.pause()
      const publisher = await RawMqtt.connect(broker.mqtt)
      for (let index = 0; index < 300; index++) publisher.publish({ topic: "load", payload: "x".repeat(50_000) })
      await sleep(200)
      broker.signal("SIGTERM")
      for (let index = 0; index < 100; index++) publisher.publish({ topic: "load", payload: "x".repeat(50_000) })
      expect((await broker.end(8_000)).code).toBe(0)
    }, 20_000)
  }

  test("the ready line is the first of stdout and tells the real ports; the log is on stderr", async () => {
    const broker = await started({})
    expect([...broker.addresses.keys()].toSorted()).toEqual([
      "admin-http.tcp",
      "protocol-kafka.tcp",
      "protocol-mqtt.tcp",
      "protocol-mqtt.websocket"
    ])
    expect(new Set([...broker.addresses.values()].map((each) => each.port)).size).toBe(4)
    for (const each of broker.addresses.values()) expect(each.port).toBeGreaterThan(0)
    expect(broker.stdout.startsWith("ready ")).toBe(true)
    expect(broker.stdout).not.toMatch(/WARN|ERROR|\d{4}-\d\d-\d\dT/)
  })

  test("everything listens when the ready line is there", async () => {
    const broker = await started({})
    await Promise.all([
      RawMqtt.connect(broker.mqtt),
      RawWebSocket.open(broker.websocket),
      RawKafka.open(broker.kafka),
      fetch(`${broker.url}/health/ready`)
    ])
  })

  test("it starts again in the same data directory, also after SIGKILL", async () => {
    const directory = mkdtempSync(join(tmpdir(), "manifold-again-"))
    try {
      for (const signal of ["SIGTERM", "SIGKILL", "SIGTERM"] as const) {
        const broker = await started({ set: { "node.data": directory } })
        await (await RawMqtt.connect(broker.mqtt)).publishWhole({ topic: "a/b", payload: "x", qos: 2 })
        broker.signal(signal)
        await broker.end()
      }
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }, 30_000)

  test("a protocol that is switched off or not listed does not listen", async () => {
    const disabled = await started({
      ownListeners: true,
      config: `[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcp = ["127.0.0.1:0"]\nwebsocket = []\n[[plugin]]\nuse = "protocol-kafka"\nenabled = false\n`
    })
    expect([...disabled.addresses.keys()]).toEqual(["protocol-mqtt.tcp"])
  })

  test("order: file, then environment, then --set; lists are comma separated; a single string is a list", async () => {
    const [first, second] = [await freePort(), await freePort()]
    const config = `[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]\ntcp = "127.0.0.1:${first}"\nwebsocket = []\n`
    const fromFile = await started({ ownListeners: true, config })
    expect(fromFile.mqtt.port).toBe(first)
    await fromFile.stop()
    const env = { MANIFOLD_PROTOCOL_MQTT__TCP: `127.0.0.1:${second}` }
    const fromEnvironment = await started({ ownListeners: true, config, env })
    expect(fromEnvironment.mqtt.port).toBe(second)
    await fromEnvironment.stop()
    const fromSet = await started({
      ownListeners: true,
      config,
      env,
      set: { "protocol-mqtt.tcp": "127.0.0.1:0,127.0.0.1:0" }
    })
    expect([first, second]).not.toContain(fromSet.mqtt.port)
    const ports = [...fromSet.readyLine.matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]))
    expect(ports).toHaveLength(2)
    for (const port of ports) await RawMqtt.connect({ host: "127.0.0.1", port })
  }, 30_000)

  test("auto_create = false: an unknown topic stays unknown; auto_create_mqtt = off: a PUBLISH makes none", async () => {
    const broker = await started({ config: '[topics]\nauto_create = false\nauto_create_mqtt = "off"\n' })
    const kafka = await RawKafka.open(broker.kafka)
    expect((await kafka.metadata(["absent"], true)).topics).toMatchObject([{ error: 3 }])
    const client = await RawMqtt.connect(broker.mqtt)
    await client.subscribe("x/y")
    client.publish({ topic: "x/y", payload: "1" })
    await client.messages(1)
    expect((await kafka.metadata(null)).topics).toEqual([])
  })

  const built = join(ROOT, "dist", fileName(hostTarget()))
  const executable = existsSync(built)
    ? { path: built }
    : { missing: "dist/ holds no executable for this machine (npm run compile)" }
  testWith([executable], "the executable runs from an empty folder with nothing installed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "manifold-alone-"))
    if (!("path" in executable)) return
    const file = join(folder, "manifold")
    cpSync(executable.path, file)
    const set = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"].flatMap(
      (name) => ["--set", `${name}=127.0.0.1:0`]
    )
    const process_ = start("/usr/bin/env", ["-i", "-C", folder, file, "start", ...set])
    try {
      const ready = (): string | undefined => /^ready .*$/m.exec(process_.stdout())?.[0]
      const line = await until("the ready line", () => ready() ?? (process_.child.exitCode !== null && "ended"), 10_000)
      expect({ line: line === "ended" ? "none" : "ready", stderr: process_.stderr() }).toEqual({
        line: "ready",
        stderr: ""
      })
      const port = Number(/protocol-mqtt\.tcp=127\.0\.0\.1:(\d+)/.exec(line)?.[1])
      const client = await RawMqtt.connect({ host: "127.0.0.1", port })
      await client.subscribe("a")
      client.publish({ topic: "a", payload: "alone" })
      await client.messages(1)
      // Asked by the child itself, Deno says that the signal ended it, whatever did.
      process.kill(Number(process_.child.pid), "SIGTERM")
      expect((await process_.end()).code).toBe(0)
    } finally {
      process_.kill()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
