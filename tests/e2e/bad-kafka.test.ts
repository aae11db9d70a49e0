/**
 * Malformed Kafka requests: that connection is closed, nothing is allocated by a declared size, a counter by cause rises, others
 * are served (DESIGN 14, promises 5 and 6).
 */
import { afterEach, expect, test } from "bun:test"
import { gzipSync, zstdCompressSync } from "node:zlib"
import { brokerSuite } from "../support/broker.ts"
import { Writer } from "../support/kafka-fields.ts"
import { API, RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, CODEC } from "../support/record-batch.ts"
import { sleep } from "../support/until.ts"

const MIB = 1_048_576
/** A request frame: header version 1 and a body. */
function request(key: number, version: number, body: Uint8Array, size?: number): Buffer {
  const whole = Buffer.concat([new Writer().int16(key).int16(version).int32(1).text("bad").end(), body])
  return Buffer.concat([new Writer().int32(size ?? whole.length).end(), whole])
}
const hexBytes = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex")
const produceHead = (): Writer => new Writer().text(null).int16(1).int32(1_000)

const MALFORMED: ReadonlyArray<readonly [string, Buffer]> = [
  ["size 0x7fffffff", hexBytes("7fffffff 0003 0004 00000001 ffff")],
  ["size -1", hexBytes("ffffffff 0003 0004")],
  ["size -2147483648", hexBytes("80000000 0003 0004")],
  ["size 0", hexBytes("00000000 00000000")],
  ["size 7, shorter than a header", hexBytes("00000007 0003 0004 000000")],
  ["an unknown API key", request(9_999, 0, Buffer.alloc(4))],
  ["a negative API key", request(-1, 0, Buffer.alloc(4))],
  ["an API that is not offered yet: AddPartitionsToTxn", request(24, 2, Buffer.alloc(40))],
  ["an unsupported version of Metadata", request(API.metadata, 99, Buffer.alloc(8))],
  ["a negative version of Metadata", request(API.metadata, -1, Buffer.alloc(8))],
  ["a client identifier past the end", hexBytes("0000000a 0003 0004 00000001 7fff")],
  ["a body cut short", request(API.metadata, 4, hexBytes("00000001 0005 61"))],
  ["no body", request(API.metadata, 4, Buffer.alloc(0))],
  ["an array of 2^31 - 1 topics", request(API.metadata, 4, hexBytes("7fffffff 00"))],
  ["a string of -7 bytes", request(API.metadata, 4, hexBytes("00000001 fff9 00"))],
  ["Produce with 2^31 - 1 topics", request(API.produce, 7, produceHead().int32(0x7fffffff).end())],
  [
    "Produce with 2^31 - 1 partitions",
    request(API.produce, 7, produceHead().int32(1).text("a").int32(0x7fffffff).end())
  ],
  [
    "Produce with a record set past the end",
    request(API.produce, 7, produceHead().int32(1).text("a").int32(1).int32(0).int32(0x7fffffff).end())
  ],
  [
    "Fetch with 2^31 - 1 topics",
    request(
      API.fetch,
      11,
      new Writer().int32(-1).int32(0).int32(1).int32(1).int8(0).int32(0).int32(-1).int32(0x7fffffff).end()
    )
  ],
  ["a compact array of 2^32 - 2 topics", request(API.metadata, 9, hexBytes("00 ffffffff0f"))],
  ["an unsigned varint without an end", request(API.metadata, 9, hexBytes("00 ffffffffffffffffffff"))],
  ["a compact string past the end", request(API.apiVersions, 3, hexBytes("00 ffffff7f 61"))],
  ["2^32 - 1 tagged fields", request(API.apiVersions, 3, hexBytes("ffffffff0f"))],
  ["a tagged field past the end", request(API.apiVersions, 3, hexBytes("01 00 ffffff7f 61"))],
  ["an MQTT CONNECT", hexBytes("100c00044d5154540402003c0000")],
  ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]
]

brokerSuite("bad Kafka", {}, (broker) => {
  afterEach(() => {
    RawKafka.cutAll()
    RawMqtt.cutAll()
  })
  const open = (): Promise<RawKafka> => RawKafka.open(broker().kafka)

  for (const [name, bytes] of MALFORMED) {
    test(`${name}: closed, without an answer`, async () => {
      const client = await open()
      client.send(bytes)
      await client.closed(2_000)
      expect(client.responses).toHaveLength(0)
    })
  }

  test("what came before a malformed request is answered first", async () => {
    const client = await open()
    const correlation = client.request(API.apiVersions, 0, Buffer.alloc(0))
    client.send(request(9_999, 0, Buffer.alloc(0)))
    await client.response(correlation)
    await client.closed()
  })

  test("a declared size allocates nothing: 100 connections that promise what they never send", async () => {
    const other = await open()
    const before = broker().residentBytes()
    const clients = await Promise.all(Array.from({ length: 100 }, open))
    for (const client of clients)
      client.send(Buffer.concat([hexBytes("03000000 0000 0007 00000001 ffff"), Buffer.alloc(1_000)]))
    await sleep(300)
    expect((await other.apiVersions()).error).toBe(0)
    expect((broker().residentBytes() - before) / MIB).toBeLessThan(40)
  })

  test("faults are counted by cause in /metrics", async () => {
    const series = async (): Promise<Map<string, number>> => {
      const lines = (await broker().metrics())
        .split("\n")
        .filter((line) => /^manifold\w*kafka\w*\{.*(cause|reason)=/.test(line))
      return new Map(
        lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))])
      )
    }
    const before = await series()
    for (const bytes of [hexBytes("ffffffff"), request(9_999, 0, Buffer.alloc(0))]) {
      const client = await open()
      client.send(bytes)
      await client.closed()
    }
    await sleep(50)
    const after = await series()
    const risen = [...after].filter(([name, value]) => value > (before.get(name) ?? 0)).map(([name]) => name)
    expect(risen.length).toBeGreaterThanOrEqual(2)
  })

  test("bombs: a small batch that unpacks to 300 MiB is refused and memory stays flat", async () => {
    const client = await open()
    const topic = uniqueLevel("bomb")
    await client.topic(topic)
    const subscriber = await RawMqtt.connect(broker().mqtt)
    await subscriber.subscribe(topic)
    const zeros = Buffer.alloc(300 * MIB)
    const bombs = [
      batch([{ value: "x" }], { attributes: CODEC.gzip, body: gzipSync(zeros) }),
      batch([{ value: "x" }], { attributes: CODEC.zstd, body: zstdCompressSync(zeros) }),
      batch([{ value: "x" }], { attributes: CODEC.snappy, body: hexBytes("ffffffff0f 00 61 62") })
    ]
    const before = broker().residentBytes()
    for (const bytes of bombs) expect([2, 10, 87]).toContain((await client.produce(topic, 0, bytes)).error)
    expect((broker().residentBytes() - before) / MIB).toBeLessThan(150)
    expect((await client.produce(topic, 0, batch([{ value: "fine" }]))).error).toBe(0)
    await subscriber.messages(1)
  }, 20_000)

  test("random bytes on 200 connections, and each byte of a good Produce changed in turn", async () => {
    const watcher = await open()
    const topic = uniqueLevel("mutant")
    await watcher.topic(topic)
    let state = 99
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 8
    }
    for (let round = 0; round < 200; round++) {
      const client = await open()
      const junk = Buffer.from(Array.from({ length: 8 + (random() % 120) }, () => random() & 255))
      client.send(round % 2 === 0 ? junk : request(random() % 20, random() % 14, junk))
      client.socket.end()
    }
    const body = produceHead()
      .int32(1)
      .text(topic)
      .int32(1)
      .int32(0)
      .bytes(batch([{ key: "k", value: "v" }]))
      .end()
    const good = request(API.produce, 7, body)
    for (let index = 4; index < good.length; index++) {
      const bytes = Buffer.from(good)
      bytes.writeUInt8(bytes.readUInt8(index) ^ (1 << (index & 7)), index)
      const client = await open()
      client.send(bytes)
      client.socket.end()
      if (index % 40 === 0) expect((await watcher.apiVersions()).error).toBe(0)
    }
    await sleep(100)
    expect((await watcher.metadata([topic])).topics).toMatchObject([{ error: 0 }])
    const found = await watcher.fetch(topic, 0, 0)
    expect(found.error).toBe(0)
  }, 25_000)
})
