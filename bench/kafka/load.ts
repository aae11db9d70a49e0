/** The loads: batches produced on several connections with some in flight, and partitions fetched again and again. */
import { recordBatch } from "../../core/mod.ts"
import { fetch, metadata, produce } from "../../plugins/protocol-kafka/wire/apis.ts"
import { producedBatch } from "./batches.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { BATCH_BYTES, CONNECTIONS, type DriverTask, type FlowTask, IN_FLIGHT } from "./scenarios.ts"

export const TOPIC = "bench"
/** As a Java consumer asks: fetch.max.bytes, max.partition.fetch.bytes, fetch.max.wait.ms. */
const FETCH_BYTES_MAX = 52_428_800
const PARTITION_BYTES_MAX = 1_048_576
const WAIT_MS_MAX = 500
export const PRODUCE_VERSION = 9
/** Sessions, names instead of ids. */
export const FETCH_VERSION = 12

/** What has been done since the start. */
export class Counts {
  records = 0
  bytes = 0
  requests = 0
  faults = 0
}

/** Makes the topic and waits until all of it is served. */
export async function makeTopic({ port, partitions }: DriverTask): Promise<void> {
  const client = await KafkaClient.open(port)
  for (let round = 0; round < 600; round++) {
    const { topics } = await client.call(metadata, 9, { topics: [{ name: TOPIC }], allowAutoTopicCreation: true })
    const [topic] = topics
    const served = topic?.partitions.filter(({ errorCode, leaderId }) => errorCode === 0 && leaderId >= 0).length
    if (topic?.errorCode === 0 && served === partitions && (await isTaken(client, partitions))) {
      client.close()
      return
    }
    await new Promise((goOn) => setTimeout(goOn, 50))
  }
  throw new Error("the topic is not served")
}

/** A Fetch without a session, of these partitions from these offsets, as a Java consumer waits. */
export function idleFetch(topic: string, wanted: ReadonlyArray<readonly [partition: number, offset: number]>) {
  const partitions = wanted.map(([partition, fetchOffset]) => {
    return { partition, fetchOffset, partitionMaxBytes: PARTITION_BYTES_MAX }
  })
  const bounds = { maxWaitMs: WAIT_MS_MAX, minBytes: 1, maxBytes: FETCH_BYTES_MAX, isolationLevel: 0 }
  return { ...bounds, topics: [{ topic, partitions }] }
}

/** A leader is named before it serves: one fetch of each partition says that it does. */
async function isTaken(client: KafkaClient, partitions: number): Promise<boolean> {
  const wanted = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    partitionMaxBytes: 1
  }))
  const request = {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1,
    isolationLevel: 0,
    topics: [{ topic: TOPIC, partitions: wanted }]
  }
  const answer = await client.call(fetch, FETCH_VERSION, request)
  return answer.responses.every(({ partitions: all }) => all.every(({ errorCode }) => errorCode === 0))
}

/** Produces until `isOver`, then until all is acknowledged. Each connection has partitions of its own where there are enough. */
export async function runProduce(task: FlowTask, counts: Counts, isOver: () => boolean): Promise<void> {
  const { port, partitions, valueBytes, codec } = task
  const records = Math.max(1, Math.floor(BATCH_BYTES / (valueBytes + 8)))
  const batches = Array.from({ length: 8 }, (_, seed) => producedBatch(records, valueBytes, seed + 1, codec))
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, index) => {
      const client = await KafkaClient.open(port)
      const own = ownPartitions(partitions, index)
      await new Promise<void>((done, fail) => {
        client.failed = (reason) => fail(new Error(reason))
        let sent = 0
        let open = 0
        const goOn = (): void => {
          while (open < IN_FLIGHT && !isOver()) {
            const bytes = batches[sent % batches.length] as Uint8Array
            const partitionData = [
              { index: own[sent % own.length] ?? 0, records: { bytes, start: 0, end: bytes.length } }
            ]
            sent += 1
            open += 1
            const request = { acks: -1, timeoutMs: 30_000, topicData: [{ name: TOPIC, partitionData }] }
            client.send(produce, PRODUCE_VERSION, request, ({ responses }) => {
              open -= 1
              if (responses[0]?.partitionResponses[0]?.errorCode === 0) {
                counts.records += records
                counts.bytes += bytes.length
              } else counts.faults += 1
              counts.requests += 1
              goOn()
            })
          }
          if (open === 0) done()
        }
        goOn()
      })
      client.close()
    })
  )
}

/** Fetches all partitions from their start to `ends`, again and again, until `isOver`; a connection has partitions of its own where it can. */
export async function runFetch(task: FlowTask, counts: Counts, isOver: () => boolean): Promise<void> {
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, index) => {
      const client = await KafkaClient.open(task.port)
      await new Promise<void>((done, fail) => {
        client.failed = (reason) => fail(new Error(reason))
        new Consumer(client, ownPartitions(task.partitions, index), counts, isOver, done).begin()
      })
      client.close()
    })
  )
}

/** One consumer with a fetch session: names those partitions only whose offset has changed. */
class Consumer {
  readonly #client: KafkaClient
  readonly #offsets: Map<number, number>
  readonly #counts: Counts
  readonly #isOver: () => boolean
  readonly #done: () => void
  #sessionId = 0
  #epoch = 0

  constructor(
    client: KafkaClient,
    partitions: ReadonlyArray<number>,
    counts: Counts,
    isOver: () => boolean,
    done: () => void
  ) {
    this.#client = client
    this.#offsets = new Map(partitions.map((partition) => [partition, 0]))
    this.#counts = counts
    this.#isOver = isOver
    this.#done = done
  }

  begin(): void {
    this.#ask([...this.#offsets.keys()])
  }

  #ask(changed: ReadonlyArray<number>): void {
    if (this.#isOver()) {
      this.#done()
      return
    }
    const partitions = changed.map((partition) => ({
      partition,
      fetchOffset: this.#offsets.get(partition) ?? 0,
      partitionMaxBytes: PARTITION_BYTES_MAX
    }))
    const request = {
      maxWaitMs: WAIT_MS_MAX,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      isolationLevel: 0,
      sessionId: this.#sessionId,
      sessionEpoch: this.#epoch,
      topics: [{ topic: TOPIC, partitions }]
    }
    this.#client.send(fetch, FETCH_VERSION, request, (answer) => {
      this.#counts.requests += 1
      if (answer.errorCode !== 0) this.#counts.faults += 1
      if (this.#epoch === 0) this.#sessionId = answer.sessionId
      this.#epoch = answer.sessionId === 0 ? 0 : this.#epoch + 1
      const next: Array<number> = []
      for (const { partitions: found } of answer.responses) {
        for (const { partitionIndex, errorCode, records, highWatermark } of found) {
          if (errorCode !== 0) this.#counts.faults += 1
          if (records === null || records.end === records.start) continue
          const offset = this.#take(records, this.#offsets.get(partitionIndex) ?? 0)
          // Read to the end: once more from the start.
          this.#offsets.set(partitionIndex, offset >= highWatermark ? 0 : offset)
          next.push(partitionIndex)
        }
      }
      this.#ask(this.#epoch === 0 ? [...this.#offsets.keys()] : next)
    })
  }

  /** Goes through the batches; returns the offset behind them. */
  #take({ bytes, start, end }: { bytes: Uint8Array; start: number; end: number }, from: number): number {
    let offset = from
    for (let position = start; position < end; ) {
      const size = recordBatch.batchSize(bytes, position, end)
      // Apache cuts the last batch at the bound.
      if (size <= 0 || position + size > end) break
      const base = recordBatch.baseOffset(bytes, position)
      if (base > offset) this.#counts.faults += 1
      const next = base + recordBatch.lastOffsetDelta(bytes, position) + 1
      this.#counts.records += next - offset
      this.#counts.bytes += size
      offset = next
      position += size
    }
    return offset
  }
}

function ownPartitions(partitions: number, connection: number): ReadonlyArray<number> {
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  return partitions < CONNECTIONS ? all : all.filter((partition) => partition % CONNECTIONS === connection)
}
