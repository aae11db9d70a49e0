/**
 * A raw Kafka client: frames over a socket and the few requests that tests need, in the non-flexible versions that kcat 1.7 and
 * kafkajs 2.2 send. It decodes strictly: bytes left over or missing in a response are an error.
 *
 * Source: Kafka protocol guide; apache/kafka message schemas.
 */
import { createConnection, type Socket } from "node:net"
import type { Address } from "./broker.ts"
import { Reader, Writer } from "./kafka-fields.ts"
import { until, within } from "./until.ts"

export const API = { produce: 0, fetch: 1, listOffsets: 2, metadata: 3, findCoordinator: 10, apiVersions: 18 } as const

export interface PartitionFetch {
  readonly partition: number
  readonly offset: number
  readonly maxBytes?: number
}
export interface FetchedPartition {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly records: Buffer
}

export class RawKafka {
  readonly socket: Socket
  #received: Buffer = Buffer.alloc(0)
  /** Responses that were not taken yet, without their size, in the order in which they came. */
  readonly responses: Array<Buffer> = []
  isClosed = false
  #correlation = 0
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#received, chunk])
      while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readInt32BE(0)) {
        const size = 4 + this.#received.readInt32BE(0)
        this.responses.push(Buffer.from(this.#received.subarray(4, size)))
        this.#received = this.#received.subarray(size)
      }
      if (this.responses.length > 0) this.#wake()
    })
    for (const event of ["close", "end", "error"]) {
      socket.on(event, () => {
        this.isClosed = true
        this.#wake()
      })
    }
  }

  static readonly #open = new Set<RawKafka>()
  /** Cuts every connection that a test left open; call it after each test. */
  static cutAll(): void {
    for (const client of RawKafka.#open) client.socket.destroy()
    RawKafka.#open.clear()
  }

  static async open(address: Address): Promise<RawKafka> {
    const socket = createConnection({ host: address.host, port: address.port, noDelay: true })
    await within(
      "a Kafka connection",
      new Promise<void>((done, fail) => {
        socket.once("connect", done)
        socket.once("error", fail)
      })
    )
    const client = new RawKafka(socket)
    RawKafka.#open.add(client)
    return client
  }

  /** Sends bytes as they are. */
  send(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Sends a request with header version 1 and returns its correlation identifier; does not wait. */
  request(key: number, version: number, body: Buffer): number {
    const correlation = ++this.#correlation
    const head = new Writer().int16(key).int16(version).int32(correlation).text("raw-test").end()
    this.send(new Writer().bytes(Buffer.concat([head, body])).end())
    return correlation
  }

  /** The next response, which must answer `correlation`. */
  async response(correlation: number, timeoutMs = 5_000): Promise<Reader> {
    if (this.responses.length === 0 && !this.isClosed) {
      const change = new Promise<void>((done) => {
        this.#wake = done
      })
      await within("a Kafka response", change, timeoutMs)
    }
    const bytes = this.responses.shift()
    if (bytes === undefined) throw new Error("the broker closed the connection where a response was expected")
    const reader = new Reader(bytes)
    const got = reader.int32()
    if (got !== correlation) throw new Error(`the response to ${got} came where that to ${correlation} was due`)
    return reader
  }

  async call(key: number, version: number, body: Buffer): Promise<Reader> {
    return await this.response(this.request(key, version, body))
  }

  async closed(timeoutMs = 3_000): Promise<void> {
    await until("the end of the Kafka connection", () => this.isClosed, timeoutMs)
  }

  /** ApiVersions v0: the error, and the lowest and highest version by key. */
  async apiVersions(): Promise<{ error: number; ranges: Map<number, readonly [number, number]> }> {
    return readApiVersions(await this.call(API.apiVersions, 0, Buffer.alloc(0)))
  }

  /** Metadata v4; topics null = all. */
  async metadata(topics: ReadonlyArray<string> | null, autoCreate = false): Promise<Metadata> {
    const body = new Writer()
    body.array(topics, (topic) => body.text(topic)).int8(autoCreate ? 1 : 0)
    const reader = await this.call(API.metadata, 4, body.end())
    reader.int32()
    const brokers = reader.array(() => ({
      id: reader.int32(),
      host: reader.text(),
      port: reader.int32(),
      rack: reader.text()
    }))
    const clusterId = reader.text()
    const controller = reader.int32()
    const found = reader.array(() => ({
      error: reader.int16(),
      name: reader.text() ?? "",
      isInternal: reader.int8() === 1,
      partitions: reader.array(() => ({
        error: reader.int16(),
        partition: reader.int32(),
        leader: reader.int32(),
        replicas: reader.array(() => reader.int32()),
        inSync: reader.array(() => reader.int32())
      }))
    }))
    reader.end()
    return { brokers, clusterId, controller, topics: found }
  }

  /** Asks for a topic with auto-create until its partitions can be used. */
  async topic(name: string): Promise<void> {
    await until(`the topic ${name}`, async () => {
      const [topic] = (await this.metadata([name], true)).topics
      return topic?.error === 0 && topic.partitions.every((partition) => partition.error === 0)
    })
  }

  /** Produce v7 to partitions of one topic; null = no record set. */
  produceRequest(topic: string, batches: ReadonlyArray<readonly [number, Uint8Array | null]>, acks = -1): number {
    const body = new Writer().text(null).int16(acks).int32(5_000)
    body.array([topic], () => {
      body.text(topic).array(batches, ([partition, bytes]) => body.int32(partition).bytes(bytes))
    })
    return this.request(API.produce, 7, body.end())
  }

  async produce(
    topic: string,
    partition: number,
    bytes: Uint8Array | null,
    acks = -1
  ): Promise<{ error: number; baseOffset: number }> {
    const [answer] = await this.produceTo(topic, [[partition, bytes]], acks)
    if (answer === undefined) throw new Error("an empty Produce response")
    return answer
  }

  async produceTo(
    topic: string,
    batches: ReadonlyArray<readonly [number, Uint8Array | null]>,
    acks = -1
  ): Promise<Array<{ partition: number; error: number; baseOffset: number }>> {
    const reader = await this.response(this.produceRequest(topic, batches, acks))
    const answers = reader.array(() => {
      reader.text()
      return reader.array(() => {
        const answer = { partition: reader.int32(), error: reader.int16(), baseOffset: reader.int64() }
        reader.int64()
        reader.int64()
        return answer
      })
    })
    reader.int32()
    reader.end()
    return answers.flat()
  }

  fetchRequest(
    topic: string,
    partitions: ReadonlyArray<PartitionFetch>,
    options: { maxWait?: number; minBytes?: number; maxBytes?: number } = {}
  ): number {
    const body = new Writer()
      .int32(-1)
      .int32(options.maxWait ?? 0)
      .int32(options.minBytes ?? 1)
      .int32(options.maxBytes ?? 50_000_000)
      .int8(0)
      .int32(0)
      .int32(-1)
    body.array([topic], () => {
      body.text(topic).array(partitions, (each) =>
        body
          .int32(each.partition)
          .int32(-1)
          .int64(each.offset)
          .int64(-1)
          .int32(each.maxBytes ?? 50_000_000)
      )
    })
    body.array([], () => {}).text("")
    return this.request(API.fetch, 11, body.end())
  }

  async fetched(correlation: number, timeoutMs?: number): Promise<Array<FetchedPartition>> {
    const reader = await this.response(correlation, timeoutMs)
    reader.int32()
    const error = reader.int16()
    if (error !== 0) throw new Error(`Fetch failed as a whole with ${error}`)
    reader.int32()
    const found = reader.array(() => {
      const topic = reader.text() ?? ""
      return reader.array(() => {
        const partition = reader.int32()
        const partitionError = reader.int16()
        const highWatermark = reader.int64()
        reader.int64()
        const logStartOffset = reader.int64()
        reader.array(() => [reader.int64(), reader.int64()])
        reader.int32()
        const records = reader.bytes()
        if (records === null) throw new Error("null records in a Fetch response")
        return { topic, partition, error: partitionError, highWatermark, logStartOffset, records }
      })
    })
    reader.end()
    return found.flat()
  }

  async fetch(
    topic: string,
    partition: number,
    offset: number,
    options: { maxWait?: number; minBytes?: number; maxBytes?: number; partitionMaxBytes?: number } = {}
  ): Promise<FetchedPartition> {
    const each =
      options.partitionMaxBytes === undefined
        ? { partition, offset }
        : { partition, offset, maxBytes: options.partitionMaxBytes }
    const [found] = await this.fetched(this.fetchRequest(topic, [each], options))
    if (found === undefined) throw new Error("an empty Fetch response")
    return found
  }

  /** Every stored byte of a partition from `offset` to its high watermark. */
  async readAll(topic: string, partition: number, offset = 0): Promise<Buffer> {
    const parts: Array<Buffer> = []
    for (let next = offset; ; ) {
      const found = await this.fetch(topic, partition, next)
      if (found.error !== 0) throw new Error(`Fetch of ${topic}-${partition} at ${next} failed with ${found.error}`)
      if (found.records.length === 0) return Buffer.concat(parts)
      let position = 0
      while (
        position + 12 <= found.records.length &&
        position + 12 + found.records.readInt32BE(position + 8) <= found.records.length
      ) {
        next = Number(found.records.readBigInt64BE(position)) + found.records.readInt32BE(position + 23) + 1
        position += 12 + found.records.readInt32BE(position + 8)
      }
      if (position === 0) throw new Error("a Fetch response without a whole batch")
      parts.push(found.records.subarray(0, position))
    }
  }

  /** ListOffsets v2. */
  async listOffset(
    topic: string,
    partition: number,
    timestamp: number
  ): Promise<{ error: number; timestamp: number; offset: number }> {
    const body = new Writer().int32(-1).int8(0)
    body.array([topic], () => {
      body.text(topic).array([partition], () => body.int32(partition).int64(timestamp))
    })
    const reader = await this.call(API.listOffsets, 2, body.end())
    reader.int32()
    const [found] = reader
      .array(() => {
        reader.text()
        return reader.array(() => {
          reader.int32()
          return { error: reader.int16(), timestamp: reader.int64(), offset: reader.int64() }
        })
      })
      .flat()
    reader.end()
    if (found === undefined) throw new Error("an empty ListOffsets response")
    return found
  }
}

export interface Metadata {
  readonly brokers: ReadonlyArray<{ id: number; host: string | null; port: number; rack: string | null }>
  readonly clusterId: string | null
  readonly controller: number
  readonly topics: ReadonlyArray<{
    readonly error: number
    readonly name: string
    readonly isInternal: boolean
    readonly partitions: ReadonlyArray<{
      readonly error: number
      readonly partition: number
      readonly leader: number
      readonly replicas: ReadonlyArray<number>
      readonly inSync: ReadonlyArray<number>
    }>
  }>
}

/** The body of an ApiVersions v0 response. */
export function readApiVersions(reader: Reader): { error: number; ranges: Map<number, readonly [number, number]> } {
  const error = reader.int16()
  const ranges = new Map(reader.array(() => [reader.int16(), [reader.int16(), reader.int16()] as const] as const))
  reader.end()
  return { error, ranges }
}
