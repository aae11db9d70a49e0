/**
 * Stand-ins for tests of this plugin: a socket that takes as much as it is told to, a clock and a turn that go on by hand, logs that
 * answer at once or later, and a client that speaks through the connection's own codec.
 */

import * as v from "valibot"
import {
  type ActiveProducer,
  ALLOW,
  type AppendResult,
  type DeleteResult,
  HIGH_WATERMARK,
  isKafkaTopicName,
  type LogsShape,
  type LogWaiter,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  type PartitionState,
  type ReadResult,
  RecordCursor,
  recordBatch,
  type SocketReceiver,
  type TopicInfo
} from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import { Connection } from "./Connection.ts"
import { Counts } from "./Counts.ts"
import { FakeSocket, FakeTime } from "./fake-platform.ts"
import { FetchSessions } from "./fetch-sessions/FetchSessions.ts"
import { makeTestGroups } from "./groups/fakes.ts"
import type { GroupCoordinator } from "./groups/GroupCoordinator.ts"
import { options, type Settings } from "./options.ts"
import { ClientQuotas } from "./quotas/ClientQuotas.ts"
import { recordsOf } from "./testing.ts"
import { codecFor, isFlexible, Reader } from "./wire/codec.ts"
import { endFrame, FrameReader, requestHeaderVersion, responseHeaderVersion } from "./wire/framing.ts"
import { requestHeader, responseHeader } from "./wire/messages/headers.ts"
import { ResponseWriter } from "./wire/ResponseWriter.ts"
import type { Api, Decoded, Encodable, Fields } from "./wire/schema.ts"
import { Writer } from "./wire/writer.ts"

export { makeBatch, recordsOf, withCrc } from "./testing.ts"
export { FakeSocket, FakeTime }

interface StoredBatch {
  readonly baseOffset: number
  readonly records: number
  readonly bytes: Uint8Array
}

/** One partition as a list of batches; every batch is a piece of memory of its own, unless `isJoined`. */
export class FakePartition {
  /** A reading gives all batches from the first on, whatever its bound. */
  isJoined = false
  leaderEpoch = 0
  logStartOffset = 0
  highWatermark = 0
  refusal = 0
  appendTimeMs = -1
  producers: ReadonlyArray<ActiveProducer> = []
  readonly batches: Array<StoredBatch> = []
  readonly waiters = new Set<{ offset: number; waiter: LogWaiter }>()

  append(bytes: Uint8Array, records: number): AppendResult {
    if (this.refusal !== 0) return { refusal: this.refusal, baseOffset: -1, logStartOffset: -1, appendTimeMs: -1 }
    const baseOffset = this.highWatermark
    const stored = bytes.slice()
    recordBatch.writeBaseOffset(stored, 0, baseOffset)
    recordBatch.writeLeaderEpoch(stored, 0, this.leaderEpoch)
    this.batches.push({ baseOffset, records, bytes: stored })
    this.highWatermark += records
    for (const entry of [...this.waiters]) {
      if (this.highWatermark <= entry.offset) continue
      this.waiters.delete(entry)
      entry.waiter.logAdvanced()
    }
    return { refusal: 0, baseOffset, logStartOffset: this.logStartOffset, appendTimeMs: this.appendTimeMs }
  }

  /** Nobody has it open: its epoch is known again when its state is asked for. */
  isClosed = false

  get state(): PartitionState {
    this.isClosed = false
    const { refusal, logStartOffset, highWatermark, leaderEpoch } = this
    return refusal === NOT_AVAILABLE
      ? { refusal, logStartOffset: -1, highWatermark: -1, endOffset: -1, leaderEpoch: -1, incarnation: 0 }
      : { refusal: 0, logStartOffset, highWatermark, endOffset: highWatermark, leaderEpoch, incarnation: 0 }
  }

  read(offset: number): ReadResult {
    const none = new Uint8Array(0)
    if (this.refusal !== 0) return { ...this.state, bytes: none }
    if (offset < this.logStartOffset || offset > this.highWatermark) {
      return { ...this.state, refusal: OUT_OF_RANGE, bytes: none }
    }
    const found = this.batches.filter((one) => one.baseOffset + one.records > offset)
    if (this.isJoined) return { ...this.state, bytes: recordsOf(...found.map(({ bytes }) => bytes)).bytes }
    return { ...this.state, bytes: found[0]?.bytes ?? none }
  }
}

export class FakeLogs implements LogsShape {
  readonly partitions = new Map<string, FakePartition>()
  /** Answers come later, as from another shard. */
  isRemote = false

  of(topic: TopicInfo, partition: number): FakePartition {
    const key = `${topic.id}/${partition}`
    const known = this.partitions.get(key) ?? new FakePartition()
    this.partitions.set(key, known)
    return known
  }
  append(topic: TopicInfo, partition: number, bytes: Uint8Array, start: number, end: number, records: number) {
    return this.#late(this.of(topic, partition).append(bytes.subarray(start, end), records))
  }
  state(topic: TopicInfo, partition: number) {
    return this.#late(this.of(topic, partition).state)
  }
  leader(topic: TopicInfo, partition: number) {
    const log = this.of(topic, partition)
    if (log.isClosed) return this.#late({ refusal: 0, leaderEpoch: -1 })
    const { refusal, leaderEpoch } = log.state
    return this.#late({ refusal, leaderEpoch })
  }
  read(topic: TopicInfo, partition: number, offset: number, _maxBytes: number) {
    return this.#late(this.of(topic, partition).read(offset))
  }
  async producers(topic: TopicInfo, partition: number) {
    const { refusal, producers } = this.of(topic, partition)
    return { refusal, producers }
  }
  async deleteBefore(topic: TopicInfo, partition: number, offset: number): Promise<DeleteResult> {
    const log = this.of(topic, partition)
    const target = offset === HIGH_WATERMARK ? log.highWatermark : offset
    if (log.refusal !== 0) return { refusal: log.refusal, logStartOffset: -1 }
    if (target < 0 || target > log.highWatermark) return { refusal: OUT_OF_RANGE, logStartOffset: -1 }
    log.logStartOffset = Math.max(log.logStartOffset, target)
    return { refusal: 0, logStartOffset: log.logStartOffset }
  }
  size(topic: TopicInfo, partition: number) {
    const { refusal, batches } = this.of(topic, partition)
    return this.#late({ refusal, sizeBytes: batches.reduce((sum, { bytes }) => sum + bytes.length, 0) })
  }
  async offsetForTimestamp(topic: TopicInfo, partition: number, timestamp: number) {
    const cursor = new RecordCursor()
    for (const { bytes } of this.of(topic, partition).batches) {
      cursor.reset(bytes, 0, bytes.length)
      while (cursor.next()) {
        if (cursor.timestamp >= timestamp) return { offset: cursor.offset, timestamp: cursor.timestamp }
      }
    }
    return undefined
  }
  epochEnd(topic: TopicInfo, partition: number, asked: number) {
    const log = this.of(topic, partition)
    const epochs = log.batches.map(({ bytes }) => recordBatch.partitionLeaderEpoch(bytes, 0))
    const isKnown = log.refusal === 0 && asked >= 0 && asked <= log.leaderEpoch
    const epoch = asked === log.leaderEpoch ? asked : (epochs.findLast((one) => one <= asked) ?? asked)
    const next = log.batches[epochs.findIndex((one) => one > asked)]?.baseOffset ?? log.highWatermark
    return this.#late({ ...log.state, epoch: isKnown ? epoch : -1, epochEndOffset: isKnown ? next : -1 })
  }
  watch(topic: TopicInfo, partition: number, offset: number, waiter: LogWaiter): () => void {
    const entry = { offset, waiter }
    const { waiters } = this.of(topic, partition)
    waiters.add(entry)
    return () => void waiters.delete(entry)
  }
  #late<T>(value: T): T | Promise<T> {
    return this.isRemote ? Promise.resolve().then(() => value) : value
  }
}

export interface TestBroker extends Broker {
  readonly time: FakeTime
  readonly logs: FakeLogs
  readonly known: Map<string, TopicInfo>
  readonly logged: Array<string>
  readonly coordinator: GroupCoordinator
}

export const TOPIC_ID = "aaaaaaaa-0000-4000-8000-000000000001"

/** A broker with the topic "t" of two partitions. */
export function makeTestBroker(
  changes: { settings?: object; access?: Broker["access"]; autoCreate?: boolean; producerId?: number } = {}
): TestBroker {
  const settings: Settings = v.parse(options, changes.settings ?? {})
  const time = new FakeTime()
  const known = new Map<string, TopicInfo>()
  const logged: Array<string> = []
  let chance = 0
  const make = (name: string, id: string, partitions: number, tenant = 0): TopicInfo => {
    const topic: TopicInfo = { tenant, name, id, partitions, engine: "memory", mode: "memory", origin: "kafka" }
    known.set(`${tenant}/${name}`, topic)
    return topic
  }
  make("t", TOPIC_ID, 2)
  make("other", "bbbbbbbb-0000-4000-8000-000000000002", 1, 1)
  const find = (tenant: number, name: string) => known.get(`${tenant}/${name}`)
  const findById = (id: string) => [...known.values()].find((topic) => topic.id === id)
  const { coordinator, link } = makeTestGroups(time, { find, findById }, settings)
  return {
    time,
    known,
    logged,
    coordinator,
    groups: link,
    topics: {
      find,
      findById,
      list: (tenant) => [...known.values()].filter((topic) => topic.tenant === tenant),
      page: (tenant, cursor, part, limit) =>
        [...known.values()]
          .filter((topic) => topic.tenant === tenant && topic.name > cursor && topic.name.includes(part))
          .toSorted((one, other) => (one.name < other.name ? -1 : 1))
          .slice(0, limit),
      autoCreate: changes.autoCreate ?? true
    },
    createTopic: async (tenant, name) =>
      isKafkaTopicName(name)
        ? make(name, `cccccccc-0000-4000-8000-${String(known.size).padStart(12, "0")}`, 1, tenant)
        : 17,
    // Those who need it bring topics that can be altered: handlers/testing.ts.
    admin: {} as Broker["admin"],
    quotas: new ClientQuotas(1),
    logs: new FakeLogs(),
    newProducerId: async () => changes.producerId ?? 4_000,
    access: changes.access ?? { checkUnsafe: () => ALLOW },
    clock: time,
    turn: time,
    settings,
    counts: new Counts(),
    nodeId: 1,
    clusterId: "test-cluster",
    connections: new Set(),
    heldBytes: 0,
    fetchesHeldBytes: 0,
    fetchSessions: new FetchSessions({
      clock: time,
      random: { uint32: () => ++chance },
      sessionsMax: settings.fetch_sessions_max,
      partitionsMax: settings.fetch_session_partitions_max
    }),
    output: new ResponseWriter(),
    log: (message) => void logged.push(message)
  }
}

/** A client on a connection of its own. */
export class TestClient {
  readonly socket: FakeSocket
  readonly #receiver: SocketReceiver
  readonly broker: TestBroker
  readonly #frames = new FrameReader(2 ** 30, 4)
  #nextCorrelation = 1

  constructor(broker: TestBroker, socket = new FakeSocket(), receiver?: SocketReceiver) {
    this.broker = broker
    this.socket = socket
    this.#receiver = receiver ?? new Connection(socket, broker, { host: "broker.example", port: 19_092 })
    socket.receiver = this.#receiver
  }

  /** A client on a connection that somebody else accepted. */
  static over(socket: FakeSocket, receiver: SocketReceiver, broker: TestBroker): TestClient {
    return new TestClient(broker, socket, receiver)
  }

  get connection(): Connection {
    if (this.#receiver instanceof Connection) return this.#receiver
    throw new Error("not a connection of this plugin")
  }

  /** The client closes its end. */
  leave(): void {
    this.#receiver.closed()
  }

  /** Frames one request. */
  frame<A extends Api>(api: A, version: number, request: Encodable<A["request"]>, clientId = "test"): Uint8Array {
    const writer = new Writer()
    const start = writer.reserve(4)
    const headerVersion = requestHeaderVersion(api.key, version, api)
    const header = { apiKey: api.key, apiVersion: version, correlationId: this.#nextCorrelation++, clientId }
    codecFor(requestHeader, headerVersion, headerVersion === 2).encode(writer, header)
    codecFor(api.request, version, isFlexible(api, version)).encode(writer, request)
    endFrame(writer, start)
    return writer.bytes.slice(0, writer.position)
  }

  send(...frames: ReadonlyArray<Uint8Array>): void {
    for (const frame of frames) this.#receiver.data(frame)
  }

  /** Frames that were sent to the client since the last call, without their sizes. */
  received(): Array<Uint8Array> {
    const found: Array<Uint8Array> = []
    for (const chunk of this.socket.sent.splice(0)) {
      this.#frames.push(chunk)
      while (this.#frames.next()) found.push(this.#frames.bytes.slice(this.#frames.start, this.#frames.end))
    }
    return found
  }

  /** The answers that were sent since the last call, all of one API and version. */
  takeAnswers<A extends Api>(api: A, version: number): Array<Decoded<A["response"]>> {
    return this.received().map((answer) => decodeAnswer(api, version, answer).body)
  }

  /** Sends one request, lets the turn end, and decodes its one answer. */
  async call<A extends Api>(
    api: A,
    version: number,
    request: Encodable<A["request"]>
  ): Promise<Decoded<A["response"]>> {
    this.send(this.frame(api, version, request))
    await this.broker.time.settle()
    const [answer, ...more] = this.received()
    if (answer === undefined || more.length > 0) throw new Error(`${more.length + (answer ? 1 : 0)} answers`)
    return decodeAnswer(api, version, answer).body
  }
}

/** Reads a whole answer: its correlation id and its body. */
export function decodeAnswer<A extends Api>(
  api: A,
  version: number,
  frame: Uint8Array
): { correlationId: number; body: Decoded<A["response"]> } {
  const reader = new Reader(frame, 0, frame.length)
  const headerVersion = responseHeaderVersion(api, version)
  const { correlationId } = codecFor(responseHeader, headerVersion, headerVersion === 1).decode(reader)
  const codec = codecFor<Fields>(api.response, version, isFlexible(api, version))
  const body = codec.decode(reader) as Decoded<A["response"]>
  if (reader.position !== frame.length) throw new Error("bytes are left in an answer")
  return { correlationId, body }
}
