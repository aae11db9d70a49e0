/** The connection: order, gathering, partial writes, bounds, and every way in which it ends. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { decodeAnswer, makeBatch, makeTestBroker, recordsOf, TestClient } from "./fakes.ts"
import { APIS, apiVersions, fetch, listOffsets, metadata, produce } from "./wire/apis.ts"
import { Writer } from "./wire/writer.ts"

const software = { clientSoftwareName: "test", clientSoftwareVersion: "1.0" }

function fetchOf(partition = 0, changes: object = {}) {
  return {
    maxWaitMs: 500,
    minBytes: 1,
    topics: [{ topic: "t", partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] }],
    ...changes
  }
}
function produceOf(...batches: ReadonlyArray<Uint8Array>) {
  return {
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ name: "t", partitionData: [{ index: 0, records: recordsOf(...batches) }] }]
  }
}
/** A request whose header is given by hand; the body is what follows. */
function rawFrame(apiKey: number, version: number, rest: string): Uint8Array {
  const writer = new Writer()
  const body = Uint8Array.fromHex(rest.replaceAll(" ", ""))
  writer.int32(body.length + 8)
  writer.int16(apiKey)
  writer.int16(version)
  writer.int32(77)
  writer.bytes.set(body, writer.reserve(body.length))
  return writer.bytes.slice(0, writer.position)
}
const correlations = (client: TestClient): Array<number> =>
  client.received().map((frame) => new DataView(frame.buffer, frame.byteOffset).getInt32(0))

describe("order", () => {
  test("answers to pipelined requests leave in one write, in order", async () => {
    const client = new TestClient(makeTestBroker())
    const frames = Array.from({ length: 10 }, () => client.frame(apiVersions, 0, {}))
    client.send(recordsOf(...frames).bytes)
    equal(client.socket.writes, 0)
    await client.broker.time.settle()
    equal(client.socket.writes, 1)
    deepStrictEqual(correlations(client), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })
  test("what comes behind a long poll is begun at once and answered after it", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    client.send(client.frame(fetch, 11, fetchOf()), client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    equal(client.socket.writes, 0)
    equal(client.connection.inFlight, 2)
    client.send(client.frame(produce, 7, produceOf(makeBatch(["a"]))))
    await broker.time.settle()
    deepStrictEqual(correlations(client), [1, 2, 3])
  })
  test("answers that are ready in another order than asked", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    broker.logs.isRemote = true
    client.send(client.frame(metadata, 5, { topics: [{ name: "t" }] }), client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    deepStrictEqual(correlations(client), [1, 2])
  })
  test("requests that come byte by byte", async () => {
    const client = new TestClient(makeTestBroker())
    for (const byte of client.frame(apiVersions, 3, software)) client.send(new Uint8Array([byte]))
    await client.broker.time.settle()
    deepStrictEqual(correlations(client), [1])
  })
})

describe("ApiVersions", () => {
  test("a version that is too new is answered in the form of version 0 and the connection stays", async () => {
    const client = new TestClient(makeTestBroker())
    // Header version 2 and a body that nobody here understands.
    client.send(rawFrame(18, 5, "0003 616263 00 ff ff ff"))
    await client.broker.time.settle()
    const [frame = new Uint8Array(0)] = client.received()
    const { correlationId, body } = decodeAnswer(apiVersions, 0, frame)
    equal(correlationId, 77)
    equal(body.errorCode, 35)
    deepStrictEqual(
      body.apiKeys.find(({ apiKey }) => apiKey === 18),
      { apiKey: 18, minVersion: 0, maxVersion: 4 }
    )
    equal((await client.call(apiVersions, 4, software)).errorCode, 0)
  })
  test("a negative version too", async () => {
    const client = new TestClient(makeTestBroker())
    client.send(rawFrame(18, -1, "ffff"))
    await client.broker.time.settle()
    equal(decodeAnswer(apiVersions, 0, client.received()[0] ?? new Uint8Array(0)).body.errorCode, 35)
  })
  for (const [name, version] of [
    ["", "1"],
    ["test", ""],
    ["-test", "1"],
    ["te st", "1"]
  ] as const) {
    test(`software "${name}" "${version}" is refused from version 3 on`, async () => {
      const client = new TestClient(makeTestBroker())
      const request = { clientSoftwareName: name, clientSoftwareVersion: version }
      deepStrictEqual((await client.call(apiVersions, 3, request)).errorCode, 42)
      equal((await client.call(apiVersions, 2, request)).errorCode, 0)
    })
  }
  test("what is advertised", async () => {
    const client = new TestClient(makeTestBroker())
    const { apiKeys } = await client.call(apiVersions, 4, software)
    deepStrictEqual(
      apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion]),
      [
        [0, 0, 13],
        [1, 4, 18],
        [2, 1, 11],
        [3, 0, 13],
        [8, 2, 10],
        [9, 1, 10],
        [10, 0, 6],
        [11, 0, 9],
        [12, 0, 4],
        [13, 0, 5],
        [14, 0, 5],
        [15, 0, 6],
        [16, 0, 5],
        [18, 0, 4],
        [19, 2, 7],
        [20, 1, 6],
        [21, 0, 2],
        [22, 0, 5],
        [23, 2, 4],
        [32, 1, 4],
        [33, 0, 2],
        [35, 1, 5],
        [37, 0, 3],
        [42, 0, 2],
        [43, 0, 2],
        [44, 0, 1],
        [46, 0, 0],
        [47, 0, 0],
        [48, 0, 1],
        [49, 0, 1],
        [50, 0, 0],
        [60, 0, 2],
        [61, 0, 0],
        [74, 0, 1],
        [75, 0, 0]
      ]
    )
  })
})

describe("output", () => {
  test("what the socket does not take is kept, and goes on with drain", async () => {
    const client = new TestClient(makeTestBroker())
    client.socket.takes = [5, 0, 3, 10_000]
    client.send(client.frame(apiVersions, 0, {}), client.frame(apiVersions, 0, {}))
    await client.broker.time.settle()
    equal(client.socket.sent.length, 1)
    client.connection.drain()
    client.connection.drain()
    client.connection.drain()
    deepStrictEqual(correlations(client), [1, 2])
  })
  test("what is kept for one peer is not what is written to another", async () => {
    const broker = makeTestBroker()
    const slow = new TestClient(broker)
    const quick = new TestClient(broker)
    slow.socket.takes = [0]
    slow.send(slow.frame(apiVersions, 0, {}))
    await broker.time.settle()
    await quick.call(metadata, 5, { topics: [{ name: "t" }] })
    slow.connection.drain()
    const [frame = new Uint8Array(0)] = slow.received()
    equal(decodeAnswer(apiVersions, 0, frame).body.apiKeys.length, APIS.length)
  })
  test("while the peer takes nothing no further request is begun, and reading stops", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    client.socket.takes = [0]
    client.send(client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    client.send(client.frame(produce, 7, produceOf(makeBatch(["a"]))))
    await broker.time.settle()
    equal(client.socket.paused, true)
    equal(broker.logs.partitions.size, 0)
    client.connection.drain()
    await broker.time.settle()
    equal(client.socket.paused, false)
    deepStrictEqual(correlations(client), [1, 2])
  })
  // One bound is the option's; of fetches, each of which may hold a large answer, two are open at once.
  for (const [requests_in_flight_max, open] of [
    [1, 1],
    [3, 2]
  ] as const) {
    test(`${open} open requests of ${requests_in_flight_max} allowed stop reading until there is room`, async () => {
      const broker = makeTestBroker({ settings: { requests_in_flight_max } })
      const client = new TestClient(broker)
      const polls = Array.from({ length: open * 2 }, () => client.frame(fetch, 11, fetchOf()))
      client.send(recordsOf(...polls).bytes)
      equal(client.connection.inFlight, open)
      equal(client.socket.paused, true)
      client.send(client.frame(apiVersions, 0, {}))
      await broker.time.pass(500)
      const first = Array.from({ length: open }, (_, index) => index + 1)
      deepStrictEqual(correlations(client), first)
      equal(client.connection.inFlight, open)
      await broker.time.pass(500)
      deepStrictEqual(correlations(client), [...first.map((each) => each + open), open * 2 + 1])
      equal(client.socket.paused, false)
    })
  }
  test("a burst of requests that are answered at once never stops reading", async () => {
    const client = new TestClient(makeTestBroker({ settings: { requests_in_flight_max: 4 } }))
    const frames = Array.from({ length: 50 }, () => client.frame(apiVersions, 0, {}))
    client.send(recordsOf(...frames).bytes)
    equal(client.socket.paused, false)
    await client.broker.time.settle()
    deepStrictEqual(
      correlations(client),
      frames.map((_, index) => index + 1)
    )
  })
  test("a large answer does not keep a large buffer", async () => {
    const broker = makeTestBroker({ settings: { message_size_max: 8_000_000 } })
    const client = new TestClient(broker)
    broker.logs.of(broker.topics.find(0, "t") ?? never(), 0).append(makeBatch(["x".repeat(900_000)]), 1)
    broker.logs.of(broker.topics.find(0, "t") ?? never(), 0).append(makeBatch(["y".repeat(900_000)]), 1)
    broker.logs.of(broker.topics.find(0, "t") ?? never(), 0).append(makeBatch(["z".repeat(900_000)]), 1)
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 4_000_000 }]
    const answer = await client.call(
      fetch,
      12,
      fetchOf(0, { minBytes: 2_800_000, maxWaitMs: 0, topics: [{ topic: "t", partitions }] })
    )
    const records = answer.responses[0]?.partitions[0]?.records
    equal((records?.end ?? 0) - (records?.start ?? 0) > 2_700_000, true)
    // What is stored is sent from where it lies.
    ok(broker.output.bytes.length < 1_000_000)
  })
})

describe("ends", () => {
  const cases: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["a frame of negative size", Uint8Array.fromHex("ffffffff"), "frame_size"],
    ["a frame above the bound", Uint8Array.fromHex("7fffffff"), "frame_size"],
    ["a frame smaller than a header", Uint8Array.fromHex("00000004"), "frame_size"],
    ["an unknown API", rawFrame(999, 0, "ffff"), "unknown_api"],
    ["an API that is not served", rawFrame(24, 3, "ffff"), "unknown_api"],
    ["a version that is not served", rawFrame(1, 3, "ffff"), "unsupported_version"],
    ["a header cut short", rawFrame(3, 9, "0010 61"), "malformed_header"],
    ["a body cut short", rawFrame(3, 5, "ffff 00000001 0005"), "malformed_body"],
    ["an array that is longer than the request", rawFrame(3, 5, "ffff 7fffffff"), "malformed_body"]
  ]
  for (const [name, bytes, cause] of cases) {
    test(`${name} closes that connection only, counted as ${cause}`, async () => {
      const broker = makeTestBroker()
      const bystander = new TestClient(broker)
      const client = new TestClient(broker)
      client.send(client.frame(apiVersions, 0, {}), bytes, client.frame(apiVersions, 0, {}))
      await broker.time.settle()
      deepStrictEqual(correlations(client), [1])
      equal(client.socket.ended, true)
      deepStrictEqual([...broker.counts.closed], [[cause, 1]])
      equal((await bystander.call(apiVersions, 0, {})).errorCode, 0)
    })
  }
  test("a bad request behind a long poll waits for its answer", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    client.send(client.frame(fetch, 11, fetchOf()), Uint8Array.fromHex("ffffffff"))
    await broker.time.settle()
    equal(client.socket.ended, false)
    await broker.time.pass(500)
    deepStrictEqual(correlations(client), [1])
    equal(client.socket.ended, true)
  })
  test("a peer that leaves takes its long polls with it", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    client.send(client.frame(fetch, 11, fetchOf()))
    equal(broker.counts.fetchesWaiting, 1)
    client.connection.closed()
    equal(broker.counts.fetchesWaiting, 0)
    equal(broker.time.timers, 0)
    equal(broker.connections.size, 0)
    equal(broker.logs.of(broker.topics.find(0, "t") ?? never(), 0).waiters.size, 0)
    await broker.time.pass(1_000)
    equal(client.socket.writes, 0)
  })
  test("a peer that leaves while its request is with another shard", async () => {
    const broker = makeTestBroker()
    broker.logs.isRemote = true
    const client = new TestClient(broker)
    client.send(client.frame(fetch, 11, fetchOf()), client.frame(listOffsets, 2, { replicaId: -1, topics: [] }))
    client.connection.closed()
    await broker.time.pass(1_000)
    equal(client.socket.writes, 0)
    equal(broker.counts.fetchesWaiting, 0)
    equal(broker.time.timers, 0)
  })
  test("a graceful stop answers what waits, then ends the stream", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    client.send(client.frame(fetch, 11, fetchOf()), client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    client.connection.stop()
    await broker.time.settle()
    deepStrictEqual(correlations(client), [1, 2])
    equal(client.socket.ended, true)
    client.send(client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    deepStrictEqual(correlations(client), [])
  })
  test("idle, and idle in the middle of a request", async () => {
    const broker = makeTestBroker({ settings: { idle_timeout_ms: 1_000 } })
    const client = new TestClient(broker)
    const other = new TestClient(broker)
    other.send(Uint8Array.fromHex("00000100ff"))
    await broker.time.pass(900)
    client.send(client.frame(apiVersions, 0, {}))
    await broker.time.pass(200)
    client.connection.sweep(broker.time.monotonicMs())
    other.connection.sweep(broker.time.monotonicMs())
    equal(client.socket.terminated, false)
    equal(other.socket.terminated, true)
    deepStrictEqual([...broker.counts.closed], [["idle", 1]])
    equal(broker.heldBytes, 0)
  })
  test("a peer that takes nothing for too long; one that takes a little stays", async () => {
    const broker = makeTestBroker({ settings: { stall_timeout_ms: 1_000 } })
    const client = new TestClient(broker)
    client.socket.takes = [1, 1, 0]
    client.send(client.frame(apiVersions, 0, {}))
    await broker.time.settle()
    await broker.time.pass(900)
    client.connection.drain()
    await broker.time.pass(900)
    client.connection.drain()
    client.connection.sweep(broker.time.monotonicMs())
    equal(client.socket.terminated, false)
    await broker.time.pass(200)
    client.connection.sweep(broker.time.monotonicMs())
    equal(client.socket.terminated, true)
    deepStrictEqual([...broker.counts.closed], [["stalled", 1]])
  })
  test("unfinished requests of all connections have one bound; who overruns it goes", async () => {
    const broker = makeTestBroker({ settings: { requests_held_max: 10_000 } })
    const first = new TestClient(broker)
    const second = new TestClient(broker)
    const start = Uint8Array.fromHex("00100000")
    first.send(start, new Uint8Array(3_000))
    ok(broker.heldBytes > 0 && broker.heldBytes <= 4 * 3_000)
    for (let sent = 0; sent < 10 && !second.socket.terminated; sent++) {
      if (sent === 0) second.send(start)
      second.send(new Uint8Array(1_000))
    }
    equal(second.socket.terminated, true)
    equal(first.socket.terminated, false)
    deepStrictEqual([...broker.counts.closed], [["held_bytes", 1]])
    first.connection.closed()
    equal(broker.heldBytes, 0)
  })
  test("a handler that fails costs its connection and is logged", async () => {
    const broker = makeTestBroker()
    broker.logs.state = () => Promise.reject(new Error("the link is gone"))
    const client = new TestClient(broker)
    client.send(client.frame(metadata, 5, { topics: [{ name: "t" }] }))
    await broker.time.settle()
    equal(client.socket.terminated, true)
    ok(broker.logged[0]?.includes("the link is gone"))
    deepStrictEqual([...broker.counts.closed], [["internal", 1]])
  })
})

function never(): never {
  throw new Error("the topic is there")
}
