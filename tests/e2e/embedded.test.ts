/** The broker as a library: in-process publish and subscribe beside real clients, and nothing left when it is closed. */
import { afterEach, describe, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  CONTRACT_VERSION,
  type Configuration,
  ConfigurationError,
  openBroker,
  PluginError,
  type ProtocolPlugin,
  type ReceivedMessage,
  StartError,
  start,
  Topics
} from "../../mod.ts"
import { parseAddress, ROOT } from "../support/broker.ts"
import { textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { IS_DENO, programCommand } from "../support/runtime.ts"
import { sleep, until, within } from "../support/until.ts"

afterEach(() => {
  RawMqtt.cutAll()
  RawKafka.cutAll()
})

const configuration = (shards: number): Configuration => ({
  node: { shards },
  plugin: [{ use: "protocol-mqtt" }, { use: "protocol-kafka" }, { use: "admin-http" }]
})

for (const shards of [1, 2]) {
  describe(`a broker inside a program, shards = ${shards}`, () => {
    const open = () => openBroker(configuration(shards))

    test("MQTT to the program: QoS, properties, place in the log", async () => {
      await using broker = await open()
      const seen: Array<ReceivedMessage> = []
      const name = uniqueLevel("name")
      await broker.subscribe(`${name}/+`, (message) => seen.push(message))
      const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")), { version: 5 })
      for (const qos of [0, 1, 2] as const) {
        await client.publishWhole({
          topic: `${name}/x`,
          payload: `q${qos}`,
          qos,
          id: qos + 1,
          properties: [
            ["userProperty", ["unit", "C"]],
            ["contentType", "text/plain"]
          ]
        })
      }
      await until("three messages", () => seen.length === 3)
      const facts = seen.map(({ topicName, text, qos, retain, partition, offset }) => [
        topicName,
        text,
        qos,
        retain,
        partition,
        offset
      ])
      expect(facts).toEqual([0, 1, 2].map((qos) => [`${name}/x`, `q${qos}`, qos, false, 0, qos]))
      expect(seen[0]?.header("unit")).toBe("C")
      expect(seen[0]?.contentType).toBe("text/plain")
    })

    test("the program to MQTT: QoS, properties, retained", async () => {
      await using broker = await open()
      const name = uniqueLevel("name")
      await broker.publish(`${name}/kept`, "last", { retain: true, userProperties: { unit: "C" }, isText: true })
      const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")), { version: 5 })
      await client.subscribe(`${name}/#`, 2)
      const kept = await client.expect("publish")
      expect([kept.topic, textOf(kept.payload), kept.retain, kept.qos]).toEqual([`${name}/kept`, "last", true, 1])
      expect(JSON.stringify(kept.properties)).toContain("unit")
      client.ack("puback", kept.id ?? 0)
      for (const qos of [0, 1, 2] as const) await broker.publish(`${name}/live`, `q${qos}`, { qos })
      for (const qos of [0, 1, 2] as const) {
        const live = await client.expect("publish")
        expect([textOf(live.payload), live.qos, live.retain]).toEqual([`q${qos}`, qos, false])
      }
    })

    test("what MQTT retained comes to a new subscription of the program, and not once it is cleared", async () => {
      await using broker = await open()
      const name = uniqueLevel("name")
      const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")))
      await client.publishWhole({ topic: `${name}/a`, payload: "1", qos: 1, retain: true })
      await client.publishWhole({ topic: `${name}/b`, payload: "2", qos: 1, retain: true })
      const stream = await broker.messages(`${name}/+`)
      const both = [await within("one", stream.next()), await within("two", stream.next())]
      expect(both.map(({ value }) => [value?.text, value?.retain]).toSorted()).toEqual([
        ["1", true],
        ["2", true]
      ])
      await client.publishWhole({ topic: `${name}/a`, payload: "", qos: 1, retain: true })
      const later = await broker.messages(`${name}/+`)
      expect((await within("the other", later.next())).value?.text).toBe("2")
      await sleep(20)
      expect(later.queued).toBe(0)
    })

    test("Kafka fetches what the program published, and the program gets what Kafka produced", async () => {
      await using broker = await open()
      const name = uniqueLevel("name")
      const kafka = await RawKafka.open(parseAddress(broker.address("protocol-kafka")))
      const publisher = broker.publisher(`${name}/x`, { userProperties: { unit: "C" } })
      for (let number = 0; number < 1_000; number++) publisher.publishUnsafe(new TextEncoder().encode(`${number}`))
      await publisher.flush()
      const records = readBatches(await kafka.readAll(`${name}.x`, 0)).flatMap((one) => one.records)
      expect(records.map(({ value }) => textOf(value ?? new Uint8Array(0)))).toEqual(
        Array.from({ length: 1_000 }, (_, number) => String(number))
      )
      expect(textOf(records[0]?.key ?? new Uint8Array(0))).toBe(`${name}/x`)
      expect(records[0]?.headers.map((header) => header.name)).toEqual(["unit", "mqtt.qos"])

      const stream = await broker.messages(`${name}/+`)
      const headers = [{ name: "mqtt.qos", value: Buffer.from("2") }]
      const produced = batch([{ key: `${name}/x`, value: "produced", headers }])
      const { error } = await kafka.produce(`${name}.x`, 0, produced)
      expect(error).toBe(0)
      const { value } = await within("the record", stream.next())
      expect([value?.topicName, value?.text, value?.qos, value?.offset]).toEqual([`${name}/x`, "produced", 1, 1_000])
      // A Kafka client's headers are data, whatever they are called.
      expect(value?.header("mqtt.qos")).toBe("2")
      const replayed: Array<string> = []
      for await (const record of broker.read(`${name}.x`, 0, { from: 999 })) {
        replayed.push(`${record.offset} ${record.isMessage} ${record.text}`)
      }
      expect(replayed).toEqual(["999 true 999", "1000 false produced"])
    })

    test("per publisher everything comes in order, from the program and from the network at once", async () => {
      await using broker = await open()
      const name = uniqueLevel("name")
      const seen = new Map<string, Array<number>>()
      await broker.subscribe(`${name}/#`, ({ text }) => {
        const [who = "", number] = text.split(" ")
        seen.set(who, [...(seen.get(who) ?? []), Number(number)])
      })
      const COUNT = 500
      const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")))
      const publisher = broker.publisher(`${name}/all`)
      for (let number = 0; number < COUNT; number++) {
        client.publish({ topic: `${name}/all`, payload: `network ${number}`, qos: 1, id: number + 1 })
        publisher.publishUnsafe(new TextEncoder().encode(`publisher ${number}`))
        void broker.publish(`${name}/all`, `single ${number}`)
        if (number % 50 === 0) await sleep(1)
      }
      await publisher.flush()
      await until("all of them", () => [...seen.values()].reduce((sum, { length }) => sum + length, 0) === 3 * COUNT)
      const expected = Array.from({ length: COUNT }, (_, number) => number)
      for (const who of ["network", "publisher", "single"]) expect(seen.get(who)).toEqual(expected)
    })

    test("a program that does not read slows nobody down and holds no more than its bound", async () => {
      await using broker = await open()
      const name = uniqueLevel("name")
      const slow = await broker.messages(`${name}/#`, { queueMessagesMax: 100 })
      const fast: Array<string> = []
      await broker.subscribe(`${name}/#`, ({ text }) => fast.push(text))
      const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")))
      for (let number = 0; number < 2_000; number++)
        client.publish({ topic: `${name}/x`, payload: `${number}`, qos: 0 })
      await until("the fast one has all", () => fast.length === 2_000)
      expect([slow.queued, slow.dropped]).toEqual([100, 1_900])
      const metrics = await (await fetch(`http://${broker.address("admin-http")}/metrics`)).text()
      expect(metrics).toMatch(/^manifold_embedded_dropped_total 1900$/m)
      client.publish({ topic: `${name}/x`, payload: "acknowledged", qos: 1, id: 1 })
      await client.expect("puback")
      for (let left = 100; left > 0; left--) await slow.next()
      await expect(slow.next()).rejects.toMatchObject({ reason: "overflow" })
    })

    test("a client's will reaches the program that closes its broker", async () => {
      const broker = await open()
      const name = uniqueLevel("name")
      const wills: Array<string> = []
      await broker.subscribe(`${name}/will`, ({ text }) => wills.push(text))
      await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")), {
        will: { topic: `${name}/will`, payload: "gone" }
      })
      await broker.close()
      expect(wills).toEqual(["gone"])
    })

    test("after close nothing is taken, and closing again is no error", async () => {
      const broker = await open()
      const address = parseAddress(broker.address("protocol-mqtt"))
      const stream = await broker.messages("#")
      await Promise.all([broker.close(), broker.close()])
      await broker.close()
      await expect(broker.publish("a", "")).rejects.toMatchObject({ reason: "closed" })
      await expect(broker.messages("a")).rejects.toMatchObject({ reason: "closed" })
      await expect(broker.readStep("a", 0, 0)).rejects.toMatchObject({ _tag: "ReadError" })
      expect((await stream.next()).done).toBe(true)
      await expect(RawMqtt.open(address)).rejects.toThrow()
    })
  })
}

test("two brokers side by side know nothing of each other", async () => {
  await using one = await openBroker({ node: { id: "one" }, plugin: [{ use: "protocol-mqtt" }] })
  await using two = await openBroker({ node: { id: "two" }, plugin: [{ use: "protocol-mqtt" }] })
  expect(one.address("protocol-mqtt")).not.toBe(two.address("protocol-mqtt"))
  const seen: Array<string> = []
  await one.subscribe("a/#", ({ text }) => seen.push(`one ${text}`))
  await two.subscribe("a/#", ({ text }) => seen.push(`two ${text}`))
  await one.publish("a/b", "1")
  await two.publish("a/b", "2")
  await one.close()
  await two.publish("a/b", "3")
  expect(seen).toEqual(["one 1", "two 2", "two 3"])
  expect([one.id, two.id]).toEqual(["one", "two"])
})

test("a program that awaits every publish lets the network in", async () => {
  await using broker = await openBroker({ plugin: [{ use: "protocol-mqtt" }] })
  const client = await RawMqtt.connect(parseAddress(broker.address("protocol-mqtt")))
  let isHeard = false
  await broker.subscribe("from/outside", () => {
    isHeard = true
  })
  client.publish({ topic: "from/outside", payload: "", qos: 0 })
  let published = 0
  while (!isHeard && published < 1_000_000) {
    await broker.publish("from/inside", "")
    published += 1
  }
  expect(isHeard).toBe(true)
})

test("a plugin of the program's own runs beside ours, with its options", async () => {
  const seen: Array<unknown> = []
  const mine: ProtocolPlugin = {
    name: "mine",
    version: "1.0.0",
    contractVersion: CONTRACT_VERSION,
    kind: "protocol",
    runs: "node",
    options: v.strictObject({ greeting: v.string(), times: v.optional(v.number(), 2) }),
    layer: (options) =>
      Layer.effectDiscard(
        Effect.gen(function* () {
          const topics = yield* Topics
          seen.push(options, topics.list(0).length)
          yield* Effect.addFinalizer(() => Effect.sync(() => seen.push("closed")))
        })
      )
  }
  const broker = await openBroker({ plugin: [{ use: mine, options: { greeting: "hello" } }] })
  expect(seen).toEqual([{ greeting: "hello", times: 2 }, 0])
  await broker.close()
  expect(seen.at(-1)).toBe("closed")
  const failing: ProtocolPlugin = {
    ...mine,
    layer: () => Layer.effectDiscard(Effect.fail(new PluginError({ plugin: "mine", message: "no" })))
  }
  const options = { greeting: "hello" }
  await expect(openBroker({ plugin: [{ use: failing, options }] })).rejects.toThrow("plugin mine: no")
})

test("in process alone: nothing listens, and asking for an address says so", async () => {
  await using broker = await openBroker()
  expect(broker.listeners).toEqual([])
  expect(() => broker.address("protocol-mqtt")).toThrow("protocol-mqtt has no listener")
  await broker.publish("a/b", "kept")
  expect(broker.topics().map(({ name }) => name)).toEqual(["a.b"])
})

test("a read without follow ends where the end was, also where a step reaches further", async () => {
  await using broker = await openBroker()
  // Reading seals: three batches, the first larger than a step, the others smaller.
  for (const payload of [new Uint8Array(10_000), "1"]) {
    await broker.publish("a/b", payload)
    await broker.readStep("a.b", 0, 0)
  }
  const seen: Array<number> = []
  for await (const { offset } of broker.read("a.b", 0, { bytesMax: 5_000 })) {
    seen.push(offset)
    await broker.publish("a/b", "beyond")
  }
  expect(seen).toEqual([0, 1])
})

test("what retention has forgotten is out of range, with the first offset that there is", async () => {
  await using broker = await openBroker()
  const publisher = broker.publisher("a/b")
  for (let count = 0; count < 5_000; count++) publisher.publishUnsafe(Uint8Array.of(1))
  await publisher.flush()
  const error = await broker.readStep("a.b", 0, 0).catch((refused) => refused)
  expect(error).toMatchObject({ _tag: "ReadError", reason: "out-of-range", highWatermark: 5_000 })
  let next = error.logStartOffset
  expect(next).toBeGreaterThan(0)
  for await (const { offset } of broker.read("a.b")) expect(offset).toBe(next++)
  expect(next).toBe(5_000)
})

test("a handler's error without onError is the program's uncaught exception, and its broker goes on", async () => {
  const { stdout, code } = await runText(
    `import { openBroker } from ${JSON.stringify(join(ROOT, "mod.ts"))}
    process.on("uncaughtException", (error) => console.log("uncaught:", error.message))
    await using broker = await openBroker()
    await broker.subscribe("a", ({ text }) => { console.log(text); throw new Error(text) })
    for (const text of ["1", "2"]) await broker.publish("a", text)`
  )
  expect([stdout.trimEnd().split("\n"), code]).toEqual([["1", "uncaught: 1", "2", "uncaught: 2"], 0])
})

test("as an Effect: the scope's end is the broker's", async () => {
  const program = Effect.gen(function* () {
    const broker = yield* start({ plugin: [{ use: "protocol-mqtt" }] })
    yield* Effect.promise(() => broker.publish("a/b", "1"))
    return broker
  })
  const broker = await Effect.runPromise(Effect.scoped(program))
  await expect(broker.publish("a/b", "2")).rejects.toMatchObject({ reason: "closed" })
  await expect(RawMqtt.open(parseAddress(broker.address("protocol-mqtt")))).rejects.toThrow()
})

test("a port that is taken: the start fails with the plugin's name, and what had started is gone", async () => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const address = server.address()
  const taken = `127.0.0.1:${typeof address === "object" ? address?.port : 0}`
  const failToStart = async (): Promise<number> => {
    for (const use of ["protocol-kafka", "admin-http"] as const) {
      const failed = openBroker({ plugin: [{ use: "protocol-mqtt" }, { use, options: { tcp: taken } }] })
      await expect(failed).rejects.toBeInstanceOf(StartError)
      await expect(failed).rejects.toThrow(new RegExp(`plugin ${use}: .*${taken}`))
    }
    return readdirSync("/proc/self/fd").length
  }
  // The first time a runtime opens something of its own, which stays.
  const descriptors = await failToStart()
  expect(await failToStart()).toBe(descriptors)
  server.close()
})

test("a configuration with faults: all of them, before anything starts", async () => {
  const wrong = { node: { shards: 0 }, plugin: [{ use: "protocol-mqtt", options: { tpc: "" } }] } as unknown
  const failed = openBroker(wrong as Configuration)
  await expect(failed).rejects.toBeInstanceOf(ConfigurationError)
  await expect(failed).rejects.toMatchObject({ faults: [{ key: "node.shards" }, { key: "protocol-mqtt.tpc" }] })
})

test("a listener that other machines reach is refused, as by the command", async () => {
  await expect(openBroker({ plugin: [{ use: "protocol-mqtt", options: { tcp: "0.0.0.0:0" } }] })).rejects.toThrow(
    /other machines/
  )
})

/** Runs a program to its end in a folder of its own; what it wrote, and what it left there. */
async function runProgram(program: string, ...args: ReadonlyArray<string>) {
  const folder = mkdtempSync(join(tmpdir(), "manifold-embedded-"))
  try {
    const [command = "", ...first] = programCommand(program)
    const child = spawn(command, [...first, ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (text) => {
      stdout += String(text)
    })
    child.stderr.on("data", (text) => {
      stderr += String(text)
    })
    const ended = new Promise<number | null>((done) => child.once("close", done))
    const code = await within(`the end of ${program}`, ended, 25_000).finally(() => child.kill("SIGKILL"))
    return { stdout, stderr, code, endedAtMs: Date.now(), left: readdirSync(folder) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The same with the program's text. */
async function runText(text: string) {
  // Where it finds packages as a user's would: beside them, or under Deno by the import map, which takes no types off down there.
  const folder = mkdtempSync(IS_DENO ? join(tmpdir(), "manifold-program-") : join(ROOT, "node_modules/.embedding-"))
  try {
    const program = join(folder, "program.ts")
    writeFileSync(program, text)
    return await runProgram(program)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Cycles {
  readonly before: { readonly descriptors: number; readonly heapBytes: number }
  readonly after: { readonly descriptors: number; readonly heapBytes: number }
  readonly endsAtMs: number
}

async function runCycles(kind: "alone" | "clients", cycles: number, first: number): Promise<Cycles> {
  const program = join(ROOT, "tests/support/embedded-cycles.ts")
  const { stdout, stderr, code, endedAtMs, left } = await runProgram(program, kind, String(cycles), String(first))
  expect(stderr).toBe("")
  expect(code).toBe(0)
  expect(left).toEqual([])
  const found = JSON.parse(stdout) as Cycles
  // Nobody called exit: no socket and no timer keeps it alive.
  expect(endedAtMs - found.endsAtMs).toBeLessThan(1_000)
  return found
}

test("20 cycles with clients leave no descriptor, and the process ends by itself", async () => {
  const { before, after } = await runCycles("clients", 24, 4)
  expect(after.descriptors).toBe(before.descriptors)
}, 30_000)

test("50 cycles leave no memory", async () => {
  const { before, after } = await runCycles("alone", 150, 100)
  // Each cycle publishes 100 kB: had one kept its messages, this would be 5 MB.
  expect(after.heapBytes - before.heapBytes).toBeLessThan(1_500_000)
}, 30_000)

test("the example says what its page says", async () => {
  const { stdout, stderr, code, left } = await runProgram(join(ROOT, "examples/embedded/main.ts"))
  expect(stderr).toBe("")
  expect(code).toBe(0)
  expect(left).toEqual([])
  expect(stdout.trimEnd().split("\n")).toEqual([
    "devices connect to 127.0.0.1:a free port",
    "live: devices/pump/telemetry 21.5 at offset 0",
    "live: devices/valve/telemetry open at offset 1",
    "live: devices/valve/telemetry closed at offset 2",
    "retained: devices/pump/status running",
    "stored: 0 devices/pump/telemetry 21.5 C",
    "stored: 1 devices/valve/telemetry open",
    "stored: 2 devices/valve/telemetry closed",
    'refused: topic-name: "devices/#" is a topic name and holds a wildcard'
  ])
}, 30_000)

test("the blocks of docs/embedding.md are one program, and say what they claim", async () => {
  const page = readFileSync(join(ROOT, "docs/embedding.md"), "utf8")
  const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] ?? "")
  expect(blocks.length).toBeGreaterThan(8)
  const { stdout, stderr, code, left } = await runText(
    blocks.join("").replaceAll('"./mod.ts"', JSON.stringify(join(ROOT, "mod.ts")))
  )
  expect([stderr, code, left]).toEqual(["", 0, []])
  const lines = stdout.trimEnd().split("\n")
  expect(lines[0]).toMatch(/^127\.0\.0\.1:\d+$/)
  const claims = [...page.matchAll(/^ *(?:if .*)?console\.log\(.*\) \/\/ (.*)$/gm)].map((match) => match[1] ?? "")
  expect(claims.slice(1).filter((claim) => !lines.includes(claim))).toEqual([])
  expect(claims.length).toBe(4)
}, 30_000)
