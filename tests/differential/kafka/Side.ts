/**
 * One broker in a comparison: its connection, and what it calls things: ids of topics and sessions, leader epochs. A step is told in terms
 * that both sides share and its answer is told back in them.
 */
import {
  apiVersions,
  fetch,
  listOffsets,
  metadata,
  offsetForLeaderEpoch,
  produce
} from "../../../plugins/protocol-kafka/wire/apis.ts"
import { UUID_ZERO } from "../../../plugins/protocol-kafka/wire/schema.ts"
import { readBatches } from "../../support/record-batch.ts"
import { KafkaConnection } from "./KafkaConnection.ts"
import { type EpochName, type EpochStep, type FetchStep, type ListStep, PARTITIONS, type ProduceStep } from "./steps.ts"

const UNKNOWN_ID = "99999999-0000-4000-8000-000000000000"
/** An answer that took at least so much of its longest wait was waited for. */
const WAITED_SHARE = 0.8

export class Side {
  readonly name: string
  #connection: KafkaConnection
  readonly #ids = new Map<string, string>()
  /** Leader epochs of a topic's partition in the order in which the broker had them, `topic/partition`. */
  readonly #epochs = new Map<string, Array<number>>()
  #sessionId = 0
  #sessionEpoch = 0

  private constructor(name: string, connection: KafkaConnection) {
    this.name = name
    this.#connection = connection
  }

  static async open(name: string, port: number): Promise<Side> {
    return new Side(name, await KafkaConnection.open(port))
  }

  close(): void {
    this.#connection.close()
  }

  /** Goes on with the broker after its restart. */
  async reopen(port: number): Promise<void> {
    this.#connection.close()
    this.#connection = await KafkaConnection.open(port)
    this.#sessionId = 0
  }

  /** Makes the topics where they are not there, and waits until they are served; keeps what they are called. */
  async topics(names: ReadonlyArray<string>): Promise<void> {
    await this.#until("make the topics", async () => {
      const topics = await this.#described(names)
      return (
        topics.length === names.length &&
        topics.every((topic) => {
          this.#ids.set(topic.name ?? "", topic.topicId)
          return (
            topic.errorCode === 0 &&
            topic.partitions.every(({ errorCode, leaderId }) => errorCode === 0 && leaderId >= 0)
          )
        })
      )
    })
    // Whoever is named as the leader may not serve yet, or not have looked at the log.
    await this.#until("serve the topics", async () => await this.#areRead(names))
    for (const topic of await this.#described(names)) {
      for (const { partitionIndex, leaderEpoch } of topic.partitions)
        this.#note(topic.name ?? "", partitionIndex, leaderEpoch)
    }
  }

  async #described(names: ReadonlyArray<string>) {
    const request = { topics: names.map((name) => ({ name })), allowAutoTopicCreation: true }
    return (await this.#connection.call(metadata, 12, request)).body.topics
  }

  async #areRead(names: ReadonlyArray<string>): Promise<boolean> {
    const topics = names.map((topic) => ({
      topic,
      partitions: Array.from({ length: PARTITIONS }, (_, partition) => ({
        partition,
        fetchOffset: 0,
        partitionMaxBytes: 1
      }))
    }))
    const request = { maxWaitMs: 0, minBytes: 0, maxBytes: 1, isolationLevel: 0, topics }
    const { body } = await this.#connection.call(fetch, 11, request)
    return body.responses.every(({ partitions }) => partitions.every(({ errorCode }) => errorCode === 0))
  }

  async #until(what: string, isDone: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < 400; round++) {
      if (await isDone()) return
      await new Promise((goOn) => setTimeout(goOn, 25))
    }
    throw new Error(`${this.name} does not ${what}`)
  }

  #note(topic: string, partition: number, epoch: number): void {
    const epochs = this.#epochs.get(`${topic}/${partition}`) ?? []
    if (epochs.at(-1) !== epoch) epochs.push(epoch)
    this.#epochs.set(`${topic}/${partition}`, epochs)
  }

  #epochOf(topic: string, partition: number, name: EpochName): number {
    const epochs = this.#epochs.get(`${topic}/${partition}`) ?? [0]
    const current = epochs.at(-1) ?? 0
    if (name === "none") return -1
    if (name === "current") return current
    return name === "first" ? (epochs[0] ?? 0) : current + 5
  }

  #nameOf(topic: string, partition: number, epoch: number): string {
    if (epoch === -1) return "none"
    const index = (this.#epochs.get(`${topic}/${partition}`) ?? []).indexOf(epoch)
    return index < 0 ? `of no time (${epoch})` : `of time ${index}`
  }

  #topicOf(name: string): { topic: string; topicId: string } {
    return { topic: name, topicId: this.#ids.get(name) ?? UNKNOWN_ID }
  }

  #topicNamed(topic: string, topicId: string): string {
    if (topicId === UUID_ZERO) return topic
    return [...this.#ids].find(([, id]) => id === topicId)?.[0] ?? "unknown"
  }

  async produce({ topic, partition, bytes }: ProduceStep): Promise<unknown> {
    const records = { bytes, start: 0, end: bytes.length }
    const topicData = [{ name: topic, partitionData: [{ index: partition, records }] }]
    const { body } = await this.#connection.call(produce, 9, { acks: -1, timeoutMs: 5_000, topicData })
    const answer = body.responses[0]?.partitionResponses[0]
    return { error: answer?.errorCode, offset: answer?.baseOffset }
  }

  async fetch(step: FetchStep): Promise<unknown> {
    const { version, session, forgotten, maxWaitMs, minBytes, maxBytes, isolationLevel } = step
    const topics = step.topics.map(({ topic, partitions }) => ({
      ...this.#topicOf(topic),
      partitions: partitions.map(({ partition, offset, sizeMax, current, last }) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: sizeMax,
        currentLeaderEpoch: this.#epochOf(topic, partition, current),
        lastFetchedEpoch: this.#epochOf(topic, partition, last)
      }))
    }))
    const forgottenTopicsData = forgotten.map(({ topic, partitions }) => ({ ...this.#topicOf(topic), partitions }))
    const [sessionId, sessionEpoch] = this.#sessionOf(session)
    const request = {
      maxWaitMs,
      minBytes,
      maxBytes,
      isolationLevel,
      sessionId,
      sessionEpoch,
      topics,
      forgottenTopicsData
    }
    const { body, elapsedMs } = await this.#connection.call(fetch, version, request)
    const isSame = body.sessionId !== 0 && body.sessionId === this.#sessionId
    if (body.errorCode === 0) this.#went(session, body.sessionId)
    const answers = body.responses.flatMap(({ topic, topicId, partitions }) => {
      const name = this.#topicNamed(topic, topicId)
      return partitions.map((found) => ({
        partition: `${name}/${found.partitionIndex}`,
        error: found.errorCode,
        highWatermark: found.highWatermark,
        lastStableOffset: found.lastStableOffset,
        logStartOffset: found.logStartOffset,
        aborted: found.abortedTransactions === null ? "null" : found.abortedTransactions.length,
        preferred: found.preferredReadReplica,
        diverging: [
          this.#nameOf(name, found.partitionIndex, found.divergingEpoch.epoch),
          found.divergingEpoch.endOffset
        ],
        leader: [
          found.currentLeader.leaderId >= 0,
          this.#nameOf(name, found.partitionIndex, found.currentLeader.leaderEpoch)
        ],
        records: found.records === null ? "null" : batchesOf(found.records)
      }))
    })
    return {
      error: body.errorCode,
      session: body.sessionId === 0 ? "none" : isSame ? "the same" : "another",
      waited: maxWaitMs > 0 && elapsedMs >= maxWaitMs * WAITED_SHARE,
      nodes: body.nodeEndpoints.length,
      answers
    }
  }

  /** Id and epoch of the session as a step names it. */
  #sessionOf(name: FetchStep["session"]): readonly [id: number, epoch: number] {
    switch (name) {
      case "none":
        return [0, -1]
      case "new":
        return [0, 0]
      case "anew":
        return [this.#sessionId, 0]
      case "end":
        return [this.#sessionId, -1]
      case "next":
        return [this.#sessionId, this.#sessionEpoch]
      case "wrong epoch":
        return [this.#sessionId, this.#sessionEpoch + 3]
      case "wrong id":
        return [this.#sessionId ^ 0x1234_567, this.#sessionEpoch]
    }
  }

  #went(name: FetchStep["session"], sessionId: number): void {
    if (name === "new" || name === "anew") [this.#sessionId, this.#sessionEpoch] = [sessionId, 1]
    else if (name === "next") this.#sessionEpoch += 1
  }

  async listOffsets({ version, topic, partition, timestamp, current, isolationLevel }: ListStep): Promise<unknown> {
    const currentLeaderEpoch = this.#epochOf(topic, partition, current)
    const topics = [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch, timestamp }] }]
    const { body } = await this.#connection.call(listOffsets, version, { replicaId: -1, isolationLevel, topics })
    return body.topics.flatMap(({ partitions }) =>
      partitions.map(({ errorCode, timestamp: time, offset, leaderEpoch }) => ({
        error: errorCode,
        time,
        offset,
        epoch: this.#nameOf(topic, partition, leaderEpoch)
      }))
    )
  }

  async epochEnd({ version, topic, partition, current, asked }: EpochStep): Promise<unknown> {
    const currentLeaderEpoch = this.#epochOf(topic, partition, current)
    const leaderEpoch = this.#epochOf(topic, partition, asked)
    const topics = [{ topic, partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }]
    const { body } = await this.#connection.call(offsetForLeaderEpoch, version, { replicaId: -1, topics })
    return body.topics.flatMap(({ partitions }) =>
      partitions.map((found) => ({
        error: found.errorCode,
        epoch: this.#nameOf(topic, partition, found.leaderEpoch),
        end: found.endOffset
      }))
    )
  }

  /** The ranges of the compared APIs, and the fallback from a version that nobody has. */
  async versions(): Promise<unknown> {
    const fallback = await this.#connection.call({ ...apiVersions, versionMax: 99, flexibleFrom: 99 }, 0, {})
    const keys: ReadonlyArray<number> = [fetch.key, listOffsets.key, offsetForLeaderEpoch.key]
    return fallback.body.apiKeys.filter(({ apiKey }) => keys.includes(apiKey))
  }
}

/** The whole batches; Apache cuts the last one at the bound, which every client skips. */
function batchesOf({ bytes, start, end }: { bytes: Uint8Array; start: number; end: number }): ReadonlyArray<string> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  let whole = 0
  while (whole + 12 <= view.length && whole + 12 + view.readInt32BE(whole + 8) <= view.length) {
    whole += 12 + view.readInt32BE(whole + 8)
  }
  return readBatches(view.subarray(0, whole)).map(
    ({ baseOffset, lastOffset, bytes: batch }) =>
      `${baseOffset}-${lastOffset} ${batch.subarray(17).toString("hex").slice(0, 8)}`
  )
}
