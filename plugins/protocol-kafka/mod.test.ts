/** The plugin as the host builds it: listeners, what is announced, metrics, faults at the start, the graceful stop. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import { MemoryJournal } from "../../core/journal/MemoryJournal.ts"
import {
  type Accept,
  Access,
  Clock,
  Engines,
  Files,
  Ingress,
  Journal,
  KeyValueStore,
  ListenError,
  type ListenerFact,
  Listeners,
  Log,
  type LogShape,
  Logs,
  MetaStore,
  MetricsRegistry,
  Net,
  type NetShape,
  NodeFacts,
  PluginError,
  ProducerIds,
  Random,
  Resources,
  Router,
  Shard,
  type ShardServices,
  type ShardShape,
  Telemetry,
  TopicError,
  Topics,
  Turn
} from "../../core/mod.ts"
import { OrderedStore } from "../../core/queue/fakes.ts"
import { makeResources } from "../../core/resources/Resources.ts"
import { decodeAnswer, FakeSocket, makeBatch, makeTestBroker, type TestBroker, TestClient } from "./fakes.ts"
import { CountingRandom } from "./groups/fakes.ts"
import { plugin } from "./mod.ts"
import { fetch, metadata, produce } from "./wire/apis.ts"

const QUIET_LOG: LogShape = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, isEnabled: () => false }

interface Built {
  readonly broker: TestBroker
  readonly accepts: Array<Accept>
  readonly announced: ReadonlyArray<ListenerFact>
  readonly telemetry: MetricsRegistry
  /** Begins the graceful stop; time must pass until it is over. */
  readonly stop: () => Promise<void>
  readonly close: () => Promise<void>
}

/** Builds the plugin's layer over fakes; `port` is what the network gives for port 0. */
async function build(options: object, listen?: NetShape["listenTcp"]): Promise<Built> {
  const broker = makeTestBroker()
  const accepts: Array<Accept> = []
  const announced: Array<ListenerFact> = []
  const telemetry = new MetricsRegistry()
  const unused = {} as never
  const store = new OrderedStore()
  const listenTcp: NetShape["listenTcp"] = (address, accept) =>
    Effect.sync(() => {
      accepts.push(accept)
      return { address: address.replace(/:0$/, ":40123") }
    })
  const services = Context.make(Net, { listenTcp: listen ?? listenTcp } as unknown as NetShape).pipe(
    Context.add(Clock, broker.time),
    Context.add(Log, QUIET_LOG),
    Context.add(Turn, broker.time),
    Context.add(Random, new CountingRandom()),
    Context.add(Files, unused),
    Context.add(Telemetry, telemetry),
    Context.add(Resources, makeResources().forPlugin("protocol-kafka", 0)),
    Context.add(Listeners, {
      announce: (fact) => Effect.sync(() => void announced.push(fact)),
      all: () => announced
    }),
    Context.add(NodeFacts, { id: "node-7", dataDirectory: "/data" } as typeof NodeFacts.Service),
    Context.add(Engines, unused),
    Context.add(KeyValueStore, store),
    Context.add(MetaStore, { watch: () => Effect.void } as never),
    Context.add(Journal, new MemoryJournal(broker.time, store)),
    Context.add(Topics, {
      ...broker.topics,
      page: unused,
      create: unused,
      plan: unused,
      alter: unused,
      defaultsOf: unused,
      delete: unused,
      ensure: (_, name) =>
        name.startsWith("bad")
          ? Effect.fail(new TopicError({ topic: name, reason: "engine-missing", message: "no engine" }))
          : Effect.succeed(broker.topics.find(0, "t") ?? unused)
    }),
    Context.add(Logs, broker.logs),
    Context.add(ProducerIds, { next: Effect.promise(broker.newProducerId) }),
    Context.add(Router, unused),
    Context.add(Ingress, unused),
    Context.add(Access, broker.access),
    Context.add(Shard, { index: 0, count: 1, ownerOfGroup: () => 0, mailbox: () => unused } as unknown as ShardShape)
  ) as Context.Context<ShardServices>
  const scope = Scope.makeUnsafe()
  const layer = plugin.layer(v.parse(plugin.options, options)) as Layer.Layer<never, PluginError, ShardServices>
  await Effect.runPromise(Layer.buildWithScope(layer, scope).pipe(Effect.provideContext(services)))
  const stop = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  const close = async (): Promise<void> => {
    const stopped = stop()
    for (let passed = 0; passed < 2_500; passed += 5) await broker.time.pass(5)
    await stopped
  }
  return { broker, accepts, announced, telemetry, stop, close }
}

/** A client that came through a listener of the plugin. */
function connect(built: Built, listener = 0): TestClient {
  const accept = built.accepts[listener]
  if (accept === undefined) throw new Error("no such listener")
  const socket = new FakeSocket()
  return TestClient.over(socket, accept(socket), built.broker)
}

describe("the start", () => {
  test("every listener is announced with its real port, and told to its clients", async () => {
    const built = await build({ tcp: ["127.0.0.1:0", "127.0.0.1:9999"], advertised: ["kafka.example:0", "other:1"] })
    deepStrictEqual(
      built.announced.map(({ plugin: name, listener, address }) => `${name}.${listener}=${address}`),
      ["protocol-kafka.tcp=127.0.0.1:40123", "protocol-kafka.tcp=127.0.0.1:9999"]
    )
    for (const [listener, host, port] of [
      [0, "kafka.example", 40_123],
      [1, "other", 1]
    ] as const) {
      const answer = await connect(built, listener).call(metadata, 1, { topics: [] })
      deepStrictEqual(answer.brokers, [{ nodeId: 7, host, port, rack: null }])
    }
    await built.close()
  })
  test("without an advertised address, the listener's own", async () => {
    const built = await build({ tcp: "127.0.0.1:0" })
    const [broker] = (await connect(built).call(metadata, 1, { topics: [] })).brokers
    deepStrictEqual([broker?.host, broker?.port], ["127.0.0.1", 40_123])
    await built.close()
  })
  for (const [name, options, listen, message] of [
    ["an address that no client could use", { tcp: "0.0.0.0:9092" }, undefined, /set protocol-kafka\.advertised/],
    [
      "a port in use",
      { tcp: "127.0.0.1:9092" },
      (address: string) => Effect.fail(new ListenError({ address, reason: "the port is in use" })),
      /tcp 127\.0\.0\.1:9092: the port is in use/
    ]
  ] as const) {
    test(`${name} is one clear line`, async () => {
      const failed = await build(options, listen as NetShape["listenTcp"] | undefined).then(
        () => undefined,
        (error: unknown) => error
      )
      ok(failed instanceof PluginError)
      equal(failed.plugin, "protocol-kafka")
      ok(message.test(failed.message), failed.message)
    })
  }
})

test("a topic that cannot be created is an error in Metadata", async () => {
  const built = await build({ tcp: "127.0.0.1:0" })
  const answer = await connect(built).call(metadata, 5, { topics: [{ name: "bad-engine" }, { name: "new" }] })
  deepStrictEqual(
    answer.topics.map(({ errorCode }) => errorCode),
    [40, 0]
  )
  await built.close()
})

test("metrics name what happened", async () => {
  const built = await build({ tcp: "127.0.0.1:0" })
  const client = connect(built)
  const records = { bytes: makeBatch(["a", "b"]), start: 0, end: 0 }
  records.end = records.bytes.length
  const partitionData = [
    { index: 0, records },
    { index: 1, records: null }
  ]
  await client.call(produce, 9, { acks: -1, timeoutMs: 1, topicData: [{ name: "t", partitionData }] })
  connect(built).send(Uint8Array.fromHex("ffffffff"))
  const text = built.telemetry.renderPrometheus()
  for (const line of [
    'manifold_kafka_requests_total{api="Produce"} 1',
    'manifold_kafka_errors_total{error="INVALID_RECORD"} 1',
    'manifold_kafka_closed_total{cause="frame_size"} 1',
    "manifold_kafka_produced_records_total 2",
    "manifold_kafka_connections 2"
  ]) {
    ok(text.includes(line), `${line}\n${text}`)
  }
  await built.close()
  ok(!built.telemetry.renderPrometheus().includes("manifold_kafka"))
})

test("closing the scope answers what waits and ends the connections", async () => {
  const built = await build({ tcp: "127.0.0.1:0" })
  const client = connect(built)
  const topics = [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] }]
  client.send(client.frame(fetch, 11, { maxWaitMs: 30_000, minBytes: 1, topics }))
  await built.broker.time.settle()
  const closed = built.stop()
  await built.broker.time.settle()
  equal(client.socket.ended, true)
  const [frame] = client.received()
  ok(frame !== undefined)
  equal(decodeAnswer(fetch, 11, frame).body.responses[0]?.partitions[0]?.errorCode, 0)
  client.leave()
  await built.broker.time.pass(10)
  await closed
})

test("a client that does not leave is cut after a while", async () => {
  const built = await build({ tcp: "127.0.0.1:0" })
  const client = connect(built)
  const closed = built.stop()
  await built.broker.time.settle()
  equal(client.socket.terminated, false)
  for (let passed = 0; passed < 2_500; passed += 5) await built.broker.time.pass(5)
  await closed
  equal(client.socket.terminated, true)
})
