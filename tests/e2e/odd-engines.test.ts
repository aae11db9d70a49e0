/**
 * Engines of a third party that commit late, refuse, throw, or never answer: what they owe is not acknowledged, what they break is
 * told of with the plugin's name, and everything beside them works.
 */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BrokerOptions, brokerSuite, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { sleep } from "../support/until.ts"

/** What the executable and the sources publish to plugins; no package of this repository. */
const HOST = JSON.stringify("manifold")
/** How long the engine `late` takes to commit. */
const LATE_MS = 60
const SLOW_MS = 700
const PLUGIN = `
import { Effect, Layer } from "effect"
import * as v from "valibot"
import { CONTRACT_VERSION, DISK_FULL, Engines, recordBatch } from ${HOST}

class Log {
  batches = []; logStartOffset = 0; highWatermark = 0; logEndOffset = 0; leaderEpoch = 0; sizeBytes = 0
  constructor(fault, events) { this.fault = fault; this.events = events }
  tryAppendUnsafe(bytes, start, end, records) {
    if (this.fault === "throws") throw new Error("a fault of its own")
    if (this.fault === "refuses") return DISK_FULL
    if (this.fault === "lies") return 99
    const batch = bytes.slice(start, end)
    const base = this.logEndOffset
    recordBatch.writeBaseOffset(batch, 0, base)
    this.batches.push({ base, batch })
    this.logEndOffset += records
    if (this.fault === "never") return base
    if (this.fault === "slow") { setTimeout(() => { this.highWatermark = base + records; this.events.committed() }, ${SLOW_MS}); return base }
    if (this.fault === "nan") { this.highWatermark = undefined; return base }
    if (this.fault === "inside" && base > 0) {
      this.batches = []; this.logEndOffset = 0; this.leaderEpoch++; this.events.failed("it fails within"); return base
    }
    if (this.fault === "late") setTimeout(() => { this.highWatermark = base + records; this.events.committed() }, ${LATE_MS})
    else if (this.fault === "fails") setTimeout(() => {
      this.batches = this.batches.filter((each) => each.base < this.highWatermark)
      this.logEndOffset = this.highWatermark; this.leaderEpoch++; this.events.failed("the disk went away")
    }, 5)
    else this.highWatermark = this.logEndOffset
    return base
  }
  readUnsafe(offset) {
    if (this.fault === "reads") throw new Error("cannot read")
    const found = this.batches.filter(({ base }) => base < this.highWatermark).findLast(({ base }) => base <= offset)
    return offset >= this.highWatermark || found === undefined ? new Uint8Array(0) : found.batch
  }
  read() { return Promise.reject(new Error("not to be read")) }
  offsetForTimestamp() { return Promise.reject("nothing") }
  deleteBefore() { return Promise.resolve(0) }
  truncateTo() { return Promise.resolve(0) }
}
const faults = ["none", "slow", "nan", "inside", "late", "throws", "refuses", "lies", "never", "fails", "reads", "opens", "closes"]
const open = (fault, events) => {
  if (fault === "opens") throw new Error("no such place")
  const close = fault === "closes" ? Effect.promise(() => new Promise(() => {})) : Effect.void
  return Effect.acquireRelease(Effect.sync(() => new Log(fault, events)), () => close)
}
export const plugin = {
  name: "odd-engines", version: "1.0.0", contractVersion: CONTRACT_VERSION, kind: "storage", runs: "shard",
  engines: faults.map((name) => ({ name: "odd-" + name, modes: ["persistent"] })),
  options: v.strictObject({}),
  layer: () => Layer.effectDiscard(Effect.gen(function* () {
    const engines = yield* Engines
    for (const fault of faults) {
      const engine = { modes: ["persistent"], open: (_, { events }) => open(fault, events), remove: () => Effect.void }
      yield* engines.register("odd-" + fault, engine)
    }
  }))
}
`
const folder = mkdtempSync(join(tmpdir(), "manifold-odd-"))
writeFileSync(join(folder, "mod.ts"), PLUGIN)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A manifest with one topic for each engine that is named, at `odd/<fault>`. */
function configOf(...faults: ReadonlyArray<string>): string {
  const bindings = faults.map(
    (fault) =>
      `[[binding]]\ntopic = "odd.${fault}"\nfilter = "odd/${fault}"\nengine = "odd-${fault}"\nmode = "persistent"\n`
  )
  const plugins = [join(folder, "mod.ts"), "protocol-mqtt", "protocol-kafka", "admin-http"]
  return `${bindings.join("\n")}\n${plugins.map((use) => `[[plugin]]\nuse = ${JSON.stringify(use)}\n`).join("\n")}`
}

const SUITE: BrokerOptions = {
  config: configOf(
    "none",
    "slow",
    "nan",
    "inside",
    "late",
    "throws",
    "refuses",
    "lies",
    "never",
    "fails",
    "reads",
    "opens"
  )
}

brokerSuite("odd engines", SUITE, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  /** The code of the PUBACK for one message of QoS 1; undefined where none came. */
  async function puback(topic: string, waitMs = 3_000): Promise<number | undefined> {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    client.publish({ topic, payload: "x", qos: 1, id: 7 })
    return await client.find("puback", waitMs).then(
      ({ code }) => code,
      () => undefined
    )
  }
  const valuesOf = (bytes: Buffer): ReadonlyArray<string> =>
    readBatches(bytes).flatMap(({ records }) => records.map(({ value }) => Buffer.from(value ?? []).toString()))

  test("one that commits at once stores and gives back", async () => {
    expect(await puback("odd/none")).toBe(0)
    const kafka = await RawKafka.open(broker().kafka)
    expect(valuesOf((await kafka.fetch("odd.none", 0, 0)).records)).toEqual(["x"])
  })

  test("acknowledgements of MQTT and Kafka wait for a commit that comes late, in their order", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const kafka = await RawKafka.open(broker().kafka)
    const startMs = performance.now()
    client.publish({ topic: "odd/late", payload: "1", qos: 1, id: 1 })
    client.publish({ topic: "memory/beside", payload: "2", qos: 1, id: 2 })
    client.publish({ topic: "odd/late", payload: "3", qos: 2, id: 3 })
    const acknowledged: Array<string> = []
    for (const type of ["puback", "puback", "pubrec"] as const) {
      const { id, code } = await client.expect(type)
      acknowledged.push(`${id} ${code === 0 || code === 0x10}`)
    }
    expect(acknowledged).toEqual(["1 true", "2 true", "3 true"])
    expect(performance.now() - startMs).toBeGreaterThan(LATE_MS * 0.9)
    const againMs = performance.now()
    expect(await kafka.produce("odd.late", 0, batch([{ value: "4" }]))).toEqual({
      partition: 0,
      error: 0,
      baseOffset: 2
    } as never)
    expect(performance.now() - againMs).toBeGreaterThan(LATE_MS * 0.9)
    expect(valuesOf(await kafka.readAll("odd.late", 0))).toEqual(["1", "3", "4"])
  })

  test("a fetch that waits is told when the commit comes, not before", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    const { highWatermark } = await kafka.fetch("odd.late", 0, 0)
    const waiting = kafka.fetch("odd.late", 0, highWatermark, { maxWait: 3_000 })
    const startMs = performance.now()
    expect(await puback("odd/late")).toBe(0)
    expect(valuesOf((await waiting).records)).toEqual(["x"])
    expect(performance.now() - startMs).toBeGreaterThan(LATE_MS * 0.9)
  })

  test("a QoS 2 message that is sent again is answered no sooner, and not otherwise, than the first one", async () => {
    for (const [topic, code] of [
      ["odd/late", 0],
      ["odd/fails", 0x80]
    ] as const) {
      const clientId = uniqueLevel("again")
      const connect = { version: 5, clientId, clean: false, properties: [["sessionExpiry", 60]] } as const
      const first = await RawMqtt.connect(broker().mqtt, connect)
      const startMs = performance.now()
      first.publish({ topic, payload: clientId, qos: 2, id: 9 })
      const second = await RawMqtt.connect(broker().mqtt, connect)
      second.publish({ topic, payload: clientId, qos: 2, id: 9, dup: true })
      expect((await second.expect("pubrec")).code).toBe(code)
      if (code === 0) expect(performance.now() - startMs).toBeGreaterThan(LATE_MS * 0.9)
      const kafka = await RawKafka.open(broker().kafka)
      const stored = valuesOf(await kafka.readAll(topic.replace("/", "."), 0)).filter((value) => value === clientId)
      expect(stored).toEqual(code === 0 ? [clientId] : [])
    }
  })

  test("a refusal, a throw, a lie and a failed sync are refusals to the publisher; QoS 0 is dropped", async () => {
    const QUOTA_EXCEEDED = 0x97
    const UNSPECIFIED_ERROR = 0x80
    expect(await puback("odd/refuses")).toBe(QUOTA_EXCEEDED)
    expect(await puback("odd/throws")).toBe(UNSPECIFIED_ERROR)
    expect(await puback("odd/lies")).toBe(UNSPECIFIED_ERROR)
    expect(await puback("odd/fails")).toBe(UNSPECIFIED_ERROR)
    expect(await puback("odd/opens")).toBe(QUOTA_EXCEEDED)
    const KAFKA_STORAGE_ERROR = 56
    const kafka = await RawKafka.open(broker().kafka)
    for (const fault of ["refuses", "throws", "lies", "fails"]) {
      expect((await kafka.produce(`odd.${fault}`, 0, batch([{ value: "x" }]))).error).toBe(KAFKA_STORAGE_ERROR)
    }
    const log = broker().stderr
    expect(log).toMatch(/odd\.throws\/0: plugin odd-engines, engine odd-throws: append threw .*a fault of its own/)
    expect(log).toMatch(/odd\.lies\/0: plugin odd-engines.*gave offset 99/)
    expect(log).toMatch(/odd\.fails\/0: plugin odd-engines.*the disk went away/)
    expect(log).toMatch(/odd\.opens\/0: plugin odd-engines, engine odd-opens cannot open it: .*no such place/)
  })

  test("a batch that is sealed by its size is answered though its ticket has ended by then", async () => {
    for (const topic of ["odd/none", "odd/refuses", "odd/throws"]) {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      client.publish({ topic, payload: "x".repeat(40_000), qos: 1, id: 7 })
      expect((await client.expect("puback")).code === 0).toBe(topic === "odd/none")
      for (let id = 1; id <= 300; id++) client.publish({ topic, payload: "x", qos: 1, id })
      for (let id = 1; id <= 300; id++) expect((await client.expect("puback")).id).toBe(id)
    }
  })

  test("a high watermark that is none acknowledges nothing; a failure told from within an append costs the partition", async () => {
    expect(await puback("odd/nan", 300)).toBeUndefined()
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    client.publish({ topic: "odd/inside", payload: "x", qos: 1, id: 1 })
    expect((await client.expect("puback")).code).toBe(0)
    client.publish({ topic: "odd/inside", payload: "x", qos: 1, id: 2 })
    expect((await client.expect("puback")).code).toBe(0x80)
  })

  test("a QoS 2 message that was refused behind a slow one is not taken when it is sent again", async () => {
    const clientId = uniqueLevel("refused")
    const connect = { version: 5, clientId, clean: false, properties: [["sessionExpiry", 60]] } as const
    const first = await RawMqtt.connect(broker().mqtt, connect)
    first.publish({ topic: "odd/slow", payload: "1", qos: 1, id: 1 })
    first.publish({ topic: "odd/opens", payload: "2", qos: 2, id: 5 })
    await sleep(50)
    const second = await RawMqtt.connect(broker().mqtt, connect)
    second.publish({ topic: "odd/opens", payload: "2", qos: 2, id: 5, dup: true })
    expect((await second.expect("pubrec")).code).toBeGreaterThanOrEqual(0x80)
  })

  test("a log that cannot be read is an error of that partition, and the connection goes on", async () => {
    expect(await puback("odd/reads")).toBe(0)
    const kafka = await RawKafka.open(broker().kafka)
    expect((await kafka.fetch("odd.reads", 0, 0)).error).toBe(56)
    expect(await puback("memory/beside")).toBe(0)
    expect(valuesOf((await kafka.fetch("odd.none", 0, 0)).records).length).toBeGreaterThan(0)
  })

  test("the line of an old connection does not answer a later message with the same identifier", async () => {
    const clientId = uniqueLevel("stale")
    const connect = { version: 5, clientId, clean: false, properties: [["sessionExpiry", 60]] } as const
    const first = await RawMqtt.connect(broker().mqtt, connect)
    first.publish({ topic: "odd/slow", payload: "1", qos: 1, id: 1 })
    first.publish({ topic: "memory/beside", payload: "2", qos: 2, id: 5 })
    await sleep(50)
    const second = await RawMqtt.connect(broker().mqtt, connect)
    second.publish({ topic: "memory/beside", payload: "2", qos: 2, id: 5, dup: true })
    await second.expect("pubrec")
    second.ack("pubrel", 5)
    await second.expect("pubcomp")
    second.publish({ topic: "odd/never", payload: "3", qos: 2, id: 5 })
    await sleep(50)
    const third = await RawMqtt.connect(broker().mqtt, connect)
    third.publish({ topic: "odd/never", payload: "3", qos: 2, id: 5, dup: true })
    await expect(third.find("pubrec", SLOW_MS + 200)).rejects.toThrow()
  })

  // The last one: from another shard it holds up the topics that share its lane.
  test("what is never committed is never acknowledged, and never seen", async () => {
    expect(await puback("odd/never", 300)).toBeUndefined()
    const kafka = await RawKafka.open(broker().kafka)
    expect((await kafka.fetch("odd.never", 0, 0)).highWatermark).toBe(0)
  })
})

for (const shards of SHARD_COUNTS) {
  test(`a partition that does not close holds up the end for a while only, shards = ${shards}`, async () => {
    const broker = await startBroker({ shards, config: configOf("closes") })
    try {
      const startMs = performance.now()
      broker.signal("SIGTERM")
      const { code, stderr } = await broker.end(14_000)
      expect({ code, took: performance.now() - startMs > 4_000 }).toEqual({ code: 0, took: true })
      expect(stderr).toMatch(/odd\.closes\/0: plugin odd-engines, engine odd-closes has not closed after 5 s/)
    } finally {
      broker.kill()
    }
  }, 20_000)
}
