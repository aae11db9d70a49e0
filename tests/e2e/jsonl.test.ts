/**
 * A third party's storage in the whole broker: the engine of examples/storage-jsonl beside the built-in plugins, killed at any moment,
 * restarted, read by Kafka clients, on a disk that is full.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type Broker,
  brokerCommand,
  IS_EXTERNAL,
  parseReady,
  ROOT,
  runCommand,
  SHARD_COUNTS,
  startBroker
} from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch, type CodecName, readBatches } from "../support/record-batch.ts"
import { programPath } from "../support/runtime.ts"
import { pathOf, run, type Started, start, type Tool, testWith, tools } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const EXAMPLE = join(ROOT, "examples/storage-jsonl")
const MODES = ["hybrid", "persistent"] as const
const root = mkdtempSync(join(tmpdir(), "manifold-jsonl-e2e-"))
afterAll(() => {
  spawnSync("umount", ["-l", join(root, "disk")], { stdio: "ignore" })
  rmSync(root, { recursive: true, force: true })
})

/** Two topics of the engine, one for each mode, a rule that gives more of them to it, and a topic in memory. */
function configOf(use: string): string {
  const bindings = MODES.map(
    (mode) => `[[binding]]\ntopic = "kept.${mode}"\nfilter = "kept/${mode}/#"\nengine = "jsonl"\nmode = "${mode}"\n`
  )
  const memory = '[[binding]]\ntopic = "lost"\nfilter = "lost/#"\nengine = "memory"\nmode = "memory"\n'
  const rule = '[[topics.rule]]\nmatch = "audit.*"\nengine = "jsonl"\nmode = "persistent"\n'
  const plugins = [use, "protocol-mqtt", "protocol-kafka", "admin-http"]
  return [rule, ...bindings, memory, ...plugins.map((name) => `[[plugin]]\nuse = ${JSON.stringify(name)}\n`)].join("\n")
}

interface Item {
  readonly id: string
  readonly file: string
  readonly highWatermark: number
  readonly leaderEpoch: number
}

async function itemsOf(broker: Broker): Promise<ReadonlyArray<Item>> {
  const answer = await fetch(`${broker.url}/api/v1/jsonl-files`)
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { items: ReadonlyArray<Item> }).items
}

const valuesOf = (bytes: Buffer): ReadonlyArray<string> =>
  readBatches(bytes).flatMap(({ records }) => records.map(({ value }) => Buffer.from(value ?? []).toString()))

async function publish(broker: Broker, topic: string, payload: string): Promise<number> {
  const client = await RawMqtt.connect(broker.mqtt, { version: 5 })
  client.publish({ topic, payload, qos: 1, id: 3 })
  const { code } = await client.expect("puback")
  client.socket.destroy()
  return code
}

describe.skipIf(IS_EXTERNAL)("storage-jsonl", () => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  for (const shards of SHARD_COUNTS) {
    test(`killed at any moment: every acknowledged record is there, in order, and no offset has two contents, shards = ${shards}`, async () => {
      const data = join(root, `killed-${shards}`)
      const begin = (): Promise<Broker> =>
        startBroker({ shards, config: configOf(EXAMPLE), set: { "node.data": data } })
      const acknowledged = new Map<string, Array<string>>()
      const seen = new Map<string, Buffer>()
      const epochs = new Map<string, number>()
      let ids: ReadonlyArray<string> = []
      for (let round = 0; round < 8; round++) {
        const broker = await begin()
        try {
          const items = await itemsOf(broker)
          if (round === 0) ids = items.map(({ id }) => id)
          expect(items.map(({ id }) => id)).toEqual([...ids])
          const kafka = await RawKafka.open(broker.kafka)
          for (const mode of MODES) {
            const topic = `kept.${mode}`
            const stored = await kafka.readAll(topic, 0)
            const before = seen.get(topic) ?? Buffer.alloc(0)
            expect(stored.subarray(0, before.length).equals(before), `${topic}: what was read once never changes`).toBe(
              true
            )
            const values = valuesOf(stored)
            for (const [publisher, sent] of acknowledged) {
              if (!publisher.startsWith(mode)) continue
              const found = values.filter((value) => value.startsWith(`${publisher} `))
              const kept = new Set(found)
              const missing = sent.filter((value) => !kept.has(value))
              expect(missing, `acknowledged to ${publisher}`).toEqual([])
              expect(found).toEqual(found.toSorted((left, right) => numberOf(left) - numberOf(right)))
            }
            const batches = readBatches(stored)
            const bases = batches.map(({ baseOffset }) => baseOffset)
            expect(bases).toEqual([0, ...batches.map(({ lastOffset }) => lastOffset + 1)].slice(0, batches.length))
            expect(batches.filter(({ isCrcRight }) => !isCrcRight)).toEqual([])
          }
          for (const { id, leaderEpoch } of items) {
            expect(leaderEpoch).toBeGreaterThan(epochs.get(id) ?? -1)
            epochs.set(id, leaderEpoch)
          }
          // What lay in memory is gone, and its offsets are not given again: 1 = out of range.
          if (round > 0) expect(await kafka.fetch("lost", 0, 0)).toMatchObject({ error: 1, records: Buffer.alloc(0) })
          const work = MODES.flatMap((mode) => [
            publishOn(broker, mode, `${mode}-m${round}`, acknowledged),
            produceTo(broker, mode, `${mode}-k${round}`, acknowledged)
          ])
          expect(await publish(broker, "lost/x", "in memory")).toBe(0)
          await sleep(80 + ((round * 67) % 200))
          if (round % 2 === 0)
            for (const mode of MODES) seen.set(`kept.${mode}`, await kafka.readAll(`kept.${mode}`, 0))
          broker.signal("SIGKILL")
          await broker.end()
          await Promise.all(work)
        } finally {
          broker.kill()
        }
      }
      for (const kind of ["hybrid-m", "hybrid-k", "persistent-m", "persistent-k"]) {
        const count = [...acknowledged].filter(([name]) => name.startsWith(kind)).flatMap(([, sent]) => sent).length
        expect(count, kind).toBeGreaterThan(20)
      }
    }, 60_000)
  }

  test("what Kafka clients compressed comes back byte for byte after a kill and after a stop; the files are JSON", async () => {
    const data = join(root, "bytes")
    const begin = (): Promise<Broker> => startBroker({ config: configOf(EXAMPLE), set: { "node.data": data } })
    const sent = (["none", "gzip", "snappy", "lz4", "zstd"] as const).map((codec: CodecName) =>
      batch(
        [
          { key: "k", value: `${codec}`.repeat(50), headers: [{ name: "h", value: Buffer.from("v") }] },
          { key: null, value: Buffer.from([0xff, 0]) }
        ],
        { codec }
      )
    )
    const first = await begin()
    try {
      const kafka = await RawKafka.open(first.kafka)
      for (const mode of MODES) {
        for (const bytes of sent) expect((await kafka.produce(`kept.${mode}`, 0, bytes)).error).toBe(0)
      }
      first.signal("SIGKILL")
      await first.end()
    } finally {
      first.kill()
    }
    for (const how of ["SIGTERM", "SIGKILL"] as const) {
      const broker = await begin()
      try {
        const kafka = await RawKafka.open(broker.kafka)
        for (const mode of MODES) {
          const stored = await kafka.readAll(`kept.${mode}`, 0)
          let position = 0
          for (const bytes of sent) {
            // From the magic byte on: before it stand base offset, length and leader epoch.
            expect(stored.subarray(position + 16, position + bytes.length).equals(bytes.subarray(16))).toBe(true)
            position += bytes.length
          }
          expect(position).toBe(stored.length)
        }
        broker.signal(how)
        await broker.end()
      } finally {
        broker.kill()
      }
    }
    const folder = join(data, "storage-jsonl", "0")
    for (const name of readdirSync(folder)) {
      expect(name).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-0\.jsonl$/)
      const lines = readFileSync(join(folder, name), "utf8").trimEnd().split("\n")
      const records = lines.flatMap((line) => JSON.parse(line).records ?? [])
      expect(records.map(({ value }) => typeof value)).toEqual(sent.flatMap(() => ["string", "object"]))
    }
  }, 30_000)

  test("a rule gives topics to the engine; two brokers do not share its folder; its files are a resource", async () => {
    const data = join(root, "rule")
    const config = configOf(EXAMPLE)
    const broker = await startBroker({ config, set: { "node.data": data } })
    try {
      const kafka = await RawKafka.open(broker.kafka)
      await kafka.topic("audit.logins")
      expect((await kafka.produce("audit.logins", 0, batch([{ value: "seen" }]))).error).toBe(0)
      const items = await itemsOf(broker)
      expect(items.length).toBe(3)
      const item = items.find(({ highWatermark }) => highWatermark === 1)
      expect(readFileSync(item?.file ?? "", "utf8")).toContain('"value":"seen"')
      const one = await fetch(`${broker.url}/api/v1/jsonl-files/${item?.id}`)
      expect(await one.json()).toMatchObject({ id: item?.id, logEndOffset: 1, logStartOffset: 0 })
      expect((await fetch(`${broker.url}/api/v1/jsonl-files/none`)).status).toBe(404)
      const file = join(root, "second.toml")
      writeFileSync(file, config)
      const settings = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
      const ports = settings.flatMap((name) => ["--set", `${name}=127.0.0.1:0`])
      const second = await runCommand(["start", "--config", file, "--data", data, ...ports])
      expect(second.code).not.toBe(0)
      expect(second.stderr).toMatch(/node\.data: cannot use .*: another process uses it/)
      expect((await kafka.produce("audit.logins", 0, batch([{ value: "again" }]))).error).toBe(0)
    } finally {
      await broker.stop()
    }
  }, 20_000)

  testWith(
    [tools.kcat],
    "by its package's name, from the node_modules beside the manifest; kcat reads it after a restart",
    async () => {
      const folder = join(root, "package")
      const installed = join(folder, "node_modules", "manifold-storage-jsonl")
      mkdirSync(installed, { recursive: true })
      cpSync(EXAMPLE, installed, { recursive: true, filter: (path) => !/\.test\.ts$|testing\.ts$/.test(path) })
      const manifest = join(folder, "manifold.toml")
      writeFileSync(manifest, configOf("manifold-storage-jsonl"))
      const listeners = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"]
      const settings = listeners.flatMap((name) => ["--set", `${name}=127.0.0.1:0`])
      const [command = "", ...words] = brokerCommand()
      const begin = async (): Promise<readonly [Started, string]> => {
        const args = [...words, "start", "--config", manifest, "--data", join(folder, "data"), ...settings]
        const process = start(command, args)
        const ready = await until("ready", () => /^ready.*$/m.exec(process.stdout())?.[0], 15_000).catch(
          (error: unknown) => {
            process.kill()
            throw new Error(`${String(error)}\n${process.stderr()}`)
          }
        )
        const { host, port } = parseReady(ready).get("protocol-kafka.tcp") ?? { host: "", port: 0 }
        return [process, `${host}:${port}`]
      }
      const kcat = pathOf(tools.kcat)
      const [first, address] = await begin()
      const produced = await run(kcat, ["-b", address, "-t", "kept.persistent", "-P", "-K:", "-z", "zstd"], {
        input: "a:1\nb:2\nc:3\n"
      })
      expect(produced.code).toBe(0)
      first.kill()
      await first.end()
      const [second, again] = await begin()
      try {
        const read = await run(kcat, [
          "-b",
          again,
          "-t",
          "kept.persistent",
          "-C",
          "-e",
          "-q",
          "-o",
          "beginning",
          "-f",
          "%o %k %s\n"
        ])
        expect(read.stdout).toBe("0 a 1\n1 b 2\n2 c 3\n")
      } finally {
        second.kill()
      }
    },
    30_000
  )

  const mount = smallDisk()
  testWith(
    [mount],
    "a full disk refuses publishers, and takes them again when it has room; nothing acknowledged is lost",
    async () => {
      const data = join(root, "disk")
      const begin = (): Promise<Broker> => startBroker({ config: configOf(EXAMPLE), set: { "node.data": data } })
      const QUOTA_EXCEEDED = 0x97
      const KAFKA_STORAGE_ERROR = 56
      const broker = await begin()
      const kept = new Map(MODES.map((mode) => [mode, [] as Array<string>]))
      try {
        const kafka = await RawKafka.open(broker.kafka)
        const stored = async (mode: string): Promise<ReadonlyArray<string>> =>
          valuesOf(await kafka.readAll(`kept.${mode}`, 0))
        for (const refused = new Map<string, number>(); MODES.some((mode) => (refused.get(mode) ?? 0) < 3); ) {
          for (const mode of MODES) {
            const value = `${mode} ${kept.get(mode)?.length} ${"x".repeat(3_000)}`
            const { error } = await kafka.produce(`kept.${mode}`, 0, batch([{ value }]))
            expect([0, KAFKA_STORAGE_ERROR]).toContain(error)
            if (error === 0) kept.get(mode)?.push(value)
            else refused.set(mode, (refused.get(mode) ?? 0) + 1)
          }
        }
        for (const mode of MODES) {
          expect(await publish(broker, `kept/${mode}/x`, "y".repeat(9_000))).toBe(QUOTA_EXCEEDED)
          expect(await stored(mode)).toEqual(kept.get(mode) ?? [])
        }
        expect(await publish(broker, "lost/x", "beside")).toBe(0)
        const { code } = await run(pathOf(mount), ["-o", "remount,size=64m", data])
        expect(code).toBe(0)
        for (const mode of MODES) {
          expect(await publish(broker, `kept/${mode}/x`, `${mode} has room`)).toBe(0)
          kept.get(mode)?.push(`${mode} has room`)
        }
        broker.signal("SIGKILL")
        await broker.end()
      } finally {
        broker.kill()
      }
      const next = await begin()
      try {
        const kafka = await RawKafka.open(next.kafka)
        for (const mode of MODES) expect(valuesOf(await kafka.readAll(`kept.${mode}`, 0))).toEqual(kept.get(mode) ?? [])
        expect(next.stderr).not.toMatch(/damaged|cannot open/)
      } finally {
        await next.stop()
      }
    },
    30_000
  )
})

/** A disk of 1 MiB at `disk` below the root, where this machine lets one be made; what changes its size, or why there is none. */
function smallDisk(): Tool {
  const disk = join(root, "disk")
  mkdirSync(disk)
  const path = programPath("mount")
  if (path === undefined) return { missing: "mount is not installed" }
  const made = spawnSync(path, ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" })
  return made.status === 0 ? { path } : { missing: "no disk may be mounted here" }
}

const numberOf = (value: string): number => Number(value.split(" ")[1])

/** Publishes with QoS 1, a few at a time, until the broker is gone; notes what was acknowledged. */
async function publishOn(
  broker: Broker,
  mode: string,
  name: string,
  acknowledged: Map<string, Array<string>>
): Promise<void> {
  const done: Array<string> = []
  acknowledged.set(name, done)
  try {
    const client = await RawMqtt.connect(broker.mqtt, { version: 5 })
    for (let count = 0; ; count += 5) {
      const values = [0, 1, 2, 3, 4].map((index) => `${name} ${count + index}`)
      for (const [index, payload] of values.entries()) {
        client.publish({ topic: `kept/${mode}/${name}`, payload, qos: 1, id: index + 1 })
      }
      for (const value of values) {
        const { code } = await client.expect("puback", 5_000)
        if (code === 0) done.push(value)
      }
      await sleep(1)
    }
  } catch {
    // The broker was killed.
  }
}

/** Produces with acks=all until the broker is gone; notes what was acknowledged. */
async function produceTo(
  broker: Broker,
  mode: string,
  name: string,
  acknowledged: Map<string, Array<string>>
): Promise<void> {
  const done: Array<string> = []
  acknowledged.set(name, done)
  try {
    const kafka = await RawKafka.open(broker.kafka)
    for (let count = 0; ; count += 2) {
      const values = [`${name} ${count}`, `${name} ${count + 1}`]
      const codec = count % 4 === 0 ? "none" : "gzip"
      const bytes = batch(
        values.map((value) => ({ value, key: `kept/${mode}/${name}` })),
        { codec }
      )
      const { error } = await kafka.produce(`kept.${mode}`, 0, bytes)
      if (error === 0) done.push(...values)
      await sleep(1)
    }
  } catch {
    // The broker was killed.
  }
}
