/**
 * One order for all: an acknowledgement follows the store, offsets are contiguous whoever appends, and every subscriber of a topic
 * name sees the order of the stored records (DESIGN 6 and 14, promises 1 to 3).
 */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { sleep } from "../support/until.ts"

const CONFIG = `
[[binding]]
topic = "mixed"
filter = "mixed/+"
partitions = 3
`

brokerSuite("order", { config: CONFIG }, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })
  const valuesOf = (bytes: Buffer): Array<string> =>
    readBatches(bytes).flatMap((each) => each.records.map((record) => Buffer.from(record.value ?? []).toString()))

  test("what was acknowledged can be fetched at once: PUBACK, PUBREC, Produce", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    for (let turn = 0; turn < 20; turn++) {
      const level = uniqueLevel("ack")
      for (const [index, qos] of [1, 2, 1].entries()) {
        client.publish({ topic: `${level}/a`, payload: `${index}`, qos: qos as 1 | 2, id: 9 })
        expect((await client.expect(qos === 1 ? "puback" : "pubrec")).code).toBeLessThan(0x80)
        const found = await kafka.fetch(`${level}.a`, 0, 0)
        expect([level, qos, valuesOf(found.records)]).toEqual([level, qos, ["0", "1", "2"].slice(0, index + 1)])
        if (qos === 2) client.ack("pubrel", 9)
        if (qos === 2) await client.expect("pubcomp")
      }
      const { baseOffset } = await kafka.produce(`${level}.a`, 0, batch([{ value: "3" }]))
      expect(baseOffset).toBe(3)
      expect(valuesOf((await kafka.fetch(`${level}.a`, 0, 3)).records)).toContain("3")
    }
  })

  test("ten producers at once on one partition: offsets contiguous, each producer's order kept", async () => {
    const topic = uniqueLevel("many")
    const clients = await Promise.all(Array.from({ length: 10 }, () => RawKafka.open(broker().kafka)))
    await clients[0]?.topic(topic)
    await Promise.all(
      clients.map(async (client, number) => {
        for (let index = 0; index < 50; index++) {
          const records = [0, 1, 2].map((each) => ({ value: `${number}:${index * 3 + each}` }))
          expect((await client.produce(topic, 0, batch(records))).error).toBe(0)
        }
      })
    )
    const records = readBatches((await clients[0]?.readAll(topic, 0)) ?? Buffer.alloc(0)).flatMap(
      (each) => each.records
    )
    expect(records.map((record) => record.offset)).toEqual(Array.from({ length: 1_500 }, (_, index) => index))
    for (const number of clients.keys()) {
      const own = records
        .map((record) => Buffer.from(record.value ?? []).toString())
        .filter((value) => value.startsWith(`${number}:`))
      expect(own).toEqual(Array.from({ length: 150 }, (_, index) => `${number}:${index}`))
    }
  })

  test("MQTT publishers and Kafka producers on one name: every subscriber sees the stored order", async () => {
    const names = Array.from({ length: 6 }, () => `mixed/${uniqueLevel("n")}`)
    const kafka = await RawKafka.open(broker().kafka)
    await kafka.topic("mixed")
    const subscribers = await Promise.all(
      Array.from({ length: 4 }, async (_, index) => {
        const client = await RawMqtt.connect(broker().mqtt, { version: index % 2 === 0 ? 4 : 5 })
        await client.subscribe("mixed/+", 1)
        return client
      })
    )
    const total = names.length * (4 * 100 + 2 * 60)
    const receiving = subscribers.map((client) => client.messages(total, { timeoutMs: 6_000 }))
    for (const each of receiving) each.catch(() => {})
    const publishing = Array.from({ length: 4 }, async (_, number) => {
      const client = await RawMqtt.connect(broker().mqtt)
      for (let index = 0; index < 100; index++) {
        client.send(
          ...names.map((topic, name) =>
            encode.publish(4, { topic, payload: `m${number}:${index}`, qos: 1, id: name + 1 })
          )
        )
        for (const _ of names) await client.expect("puback")
      }
    })
    const producing = Array.from({ length: 2 }, async (_, number) => {
      const client = await RawKafka.open(broker().kafka)
      for (let index = 0; index < 60; index += 3) {
        for (const [name, key] of names.entries()) {
          const records = [0, 1, 2].map((each) => ({ key, value: `k${number}:${index + each}` }))
          expect((await client.produce("mixed", name % 3, batch(records))).error).toBe(0)
        }
      }
    })
    await Promise.all([...publishing, ...producing])
    const stored = new Map<string, Map<number, Array<string>>>()
    for (let partition = 0; partition < 3; partition++) {
      for (const record of readBatches(await kafka.readAll("mixed", partition)).flatMap((each) => each.records)) {
        const key = Buffer.from(record.key ?? []).toString()
        const partitions = stored.get(key) ?? new Map<number, Array<string>>()
        partitions.set(partition, [...(partitions.get(partition) ?? []), Buffer.from(record.value ?? []).toString()])
        stored.set(key, partitions)
      }
    }
    for (const messages of await Promise.all(receiving)) {
      for (const name of names) {
        const seen = messages.filter((message) => message.topic === name).map((message) => textOf(message.payload))
        for (const values of stored.get(name)?.values() ?? []) {
          const here = new Set(values)
          expect([name, seen.filter((value) => here.has(value))]).toEqual([name, values])
        }
        for (const writer of ["m0", "m1", "m2", "m3", "k0", "k1"]) {
          const own = seen.filter((value) => value.startsWith(`${writer}:`)).map((value) => Number(value.slice(3)))
          expect([name, writer, own]).toEqual([name, writer, Array.from({ length: own.length }, (_, index) => index)])
        }
      }
    }
  }, 20_000)

  test("100 take-overs at once of one client identifier: one connection is left, and it works", async () => {
    const clientId = uniqueId("storm")
    const topic = `${uniqueLevel()}/a`
    const clients = await Promise.all(Array.from({ length: 100 }, () => RawMqtt.open(broker().mqtt, 5)))
    for (const client of clients)
      client.send(encode.connect({ version: 5, clientId, clean: false, properties: [["sessionExpiry", 60]] }))
    await sleep(400)
    const open = clients.filter((client) => !client.isClosed)
    expect(open).toHaveLength(1)
    for (const client of clients) {
      const packets = client
        .drain()
        .map((each) =>
          each.type === "connack"
            ? `connack ${each.code}`
            : each.type === "disconnect"
              ? `disconnect ${each.code}`
              : each.type
        )
      // One that lost its place before its CONNACK must not be sent a DISCONNECT [MQTT-3.14.0-1].
      const cut = [["connack 0", "disconnect 142"], ["disconnect 142"], []]
      expect(client.isClosed ? cut : [["connack 0"]]).toContainEqual(packets)
    }
    const [last] = open as [ConnectedMqtt]
    await last.subscribe(topic, 1)
    await (await RawMqtt.connect(broker().mqtt)).publishWhole({ topic, payload: "x", qos: 1 })
    expect(textOf((await last.expect("publish")).payload)).toBe("x")
  })

  test("nothing after DISCONNECT counts, though it came in the same segment", async () => {
    const topic = `${uniqueLevel()}/a`
    const watcher = await RawMqtt.connect(broker().mqtt)
    await watcher.subscribe(topic)
    const client = await RawMqtt.connect(broker().mqtt, { version: 4 })
    client.send(
      encode.publish(4, { topic, payload: "before" }),
      encode.disconnect(4),
      encode.publish(4, { topic, payload: "after" })
    )
    expect(textOf((await watcher.expect("publish")).payload)).toBe("before")
    await watcher.quiet()
  })

  test("what a client sent before it was cut counts, whole packets only", async () => {
    const topic = `${uniqueLevel()}/a`
    const watcher = await RawMqtt.connect(broker().mqtt)
    await watcher.subscribe(topic)
    const client = await RawMqtt.connect(broker().mqtt)
    const packets = Array.from({ length: 100 }, (_, index) => encode.publish(4, { topic, payload: String(index) }))
    client.send(...packets, encode.publish(4, { topic, payload: "cut" }).subarray(0, 8))
    client.socket.end()
    const found = (await watcher.messages(100)).map((message) => textOf(message.payload))
    expect(found).toEqual(packets.map((_, index) => String(index)))
    await watcher.quiet()
  })

  test("one connection that publishes to 500 names of both shards gets its PUBACKs in order [MQTT-4.6.0-2]", async () => {
    const level = uniqueLevel()
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const ids = Array.from({ length: 500 }, (_, index) => index + 1)
    client.send(...ids.map((id) => encode.publish(5, { topic: `${level}/${id}/x`, payload: "x", qos: 1, id })))
    for (const id of ids) expect(await client.expect("puback")).toMatchObject({ id })
    client.send(
      ...ids.map((id) =>
        encode.publish(5, { topic: `${level}/${id}/x`, payload: "x", qos: id % 3 === 0 ? 0 : id % 3 === 1 ? 1 : 2, id })
      )
    )
    for (const id of ids.filter((each) => each % 3 !== 0))
      expect(await client.expect(id % 3 === 1 ? "puback" : "pubrec")).toMatchObject({ id })
  })
})
