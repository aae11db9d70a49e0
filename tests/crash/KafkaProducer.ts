/**
 * A Kafka producer with acks = all: batches of a few records to one partition, several requests under way. What was not answered when
 * the broker died is not sent again: it may be there, once.
 */
import type { Address } from "../support/broker.ts"
import { Writer } from "../support/kafka-fields.ts"
import { API, RawKafka } from "../support/raw-kafka.ts"
import { batch, type CodecName, partitionOf } from "../support/record-batch.ts"
import { BOUND_NAMES, type Cast, MADE_NAME, MADE_PARTITIONS, MADE_TOPIC } from "./cast.ts"
import type { Ledger, Message } from "./Ledger.ts"
import type { LogModel, ProducedRecord } from "./LogModel.ts"
import type { CyclePlan } from "./plan.ts"
import { covers } from "./SessionModel.ts"

const IN_FLIGHT_MAX = 4
const CODECS: ReadonlyArray<CodecName> = ["none", "none", "none", "gzip", "zstd"]
const PRODUCE_VERSION = 7

interface Sent {
  readonly correlation: number
  readonly where: string
  readonly records: ReadonlyArray<ProducedRecord>
}

export class KafkaProducer {
  readonly name: string
  readonly #ledger: Ledger
  readonly #log: LogModel
  readonly #cast: Cast
  readonly #taken: (message: Message, since: number) => void
  #connections = 0
  #sent: Array<Sent> = []
  #isStopped = true
  #done: Promise<void> = Promise.resolve()
  #wake: () => void = () => {}

  constructor(
    ledger: Ledger,
    log: LogModel,
    cast: Cast,
    name: string,
    taken: (message: Message, since: number) => void
  ) {
    this.#ledger = ledger
    this.#log = log
    this.#cast = cast
    this.name = name
    this.#taken = taken
  }

  /** Produces until it is stopped or the broker is gone. */
  live(address: Address, plan: CyclePlan): void {
    this.#isStopped = false
    this.#done = this.#live(address, plan).catch((error: unknown) => {
      // The end of the connection; an answer that cannot be read is told where it is read.
      this.#ledger.note(`${this.name} ended: ${String(error)}`)
    })
  }

  /** No more batches; settles when every answer has come, or the connection is gone. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#wake()
    await this.#done
  }

  async #live(address: Address, plan: CyclePlan): Promise<void> {
    const { chance, producePauseMs } = plan
    this.#connections += 1
    const kafka = await RawKafka.open(address)
    const [topic] = (await kafka.metadata([MADE_TOPIC], true)).topics
    if (topic?.error === 0) this.#log.learned(MADE_TOPIC, topic.partitions.length)
    const answers = this.#answers(kafka)
    while (!this.#isStopped && !kafka.isClosed) {
      if (this.#sent.length < IN_FLIGHT_MAX) {
        this.#produce(kafka, plan)
        this.#wake()
      }
      await new Promise((done) => setTimeout(done, 1 + chance.below(2 * producePauseMs)))
    }
    this.#isStopped = true
    this.#wake()
    await answers
    kafka.socket.destroy()
  }

  /** Takes the answers in their order. */
  async #answers(kafka: RawKafka): Promise<void> {
    for (;;) {
      const [first] = this.#sent
      if (first !== undefined) {
        try {
          await this.#answer(kafka, first)
          this.#sent.shift()
          continue
        } catch (error) {
          if (!kafka.isClosed) this.#ledger.fail(`${this.name}: ${String(error)}`)
          this.#sent = []
          return
        }
      }
      if (this.#isStopped) return
      await new Promise<void>((done) => {
        this.#wake = done
      })
    }
  }

  async #answer(kafka: RawKafka, { correlation, where, records }: Sent): Promise<void> {
    const reader = await kafka.response(correlation, 20_000)
    const [answer] = reader
      .array(() => {
        reader.text()
        return reader.array(() => {
          const found = { partition: reader.int32(), error: reader.int16(), baseOffset: reader.int64() }
          reader.int64()
          reader.int64()
          return found
        })
      })
      .flat()
    reader.int32()
    reader.end()
    const ledger = this.#ledger
    if (answer === undefined) return ledger.fail(`${this.name}: an answer without a partition`)
    if (!ledger.check(answer.error === 0, () => `${this.name}: produce to ${where}: error ${answer.error}`)) return
    ledger.note(
      `${this.name} <- ${where} at ${answer.baseOffset}: #${records.map(({ message }) => message.id).join(" #")}`
    )
    for (const [index, { message }] of records.entries()) {
      message.acknowledgedAt = ledger.moment()
      ledger.counts.produced += 1
      this.#log.acknowledged(message, answer.baseOffset + index)
      this.#taken(message, message.sentAt)
    }
  }

  #produce(kafka: RawKafka, { chance }: CyclePlan): void {
    const topics = [...this.#cast.topics.filter(({ name }) => name !== "wills")]
    const chosen = chance.below(topics.length + 1)
    const bound = topics[chosen]
    const topic = bound?.name ?? MADE_TOPIC
    if (!this.#log.topics.has(topic)) return
    const partitions = bound?.partitions ?? MADE_PARTITIONS
    const partition = chance.below(partitions)
    const names = (bound === undefined ? [MADE_NAME] : BOUND_NAMES.filter((name) => covers(bound.filter, name))).filter(
      (name) => partitionOf(name, partitions) === partition
    )
    const where = `${topic}/${partition}`
    const records = Array.from({ length: 1 + chance.below(4) }, () => {
      const name = names[chance.below(names.length)]
      const kind = chance.below(4)
      const key = kind === 0 || name === undefined ? (kind === 1 ? "some key" : null) : name
      const publisher = `${this.name}/${this.#connections}/${partition}`
      // Unkeyed records of a topic without wildcards go out on its own name.
      const delivered = key !== null && key === name ? name : bound === undefined ? MADE_NAME : ""
      const fields = { publisher, source: "kafka", topic: delivered, qos: 1, retain: false } as const
      const message = this.#ledger.message(fields, chance.below(300))
      this.#ledger.sending(message)
      const record = { message, where, key }
      this.#log.producing(record)
      return record
    })
    const entries = records.map(({ message, key }) => ({ key, value: message.payload }))
    const bytes = batch(entries, { codec: CODECS[chance.below(CODECS.length)] ?? "none" })
    const body = new Writer().text(null).int16(-1).int32(5_000)
    body.array([topic], () => body.text(topic).array([partition], () => body.int32(partition).bytes(bytes)))
    this.#ledger.note(`${this.name} -> ${where} #${records.map(({ message }) => message.id).join(" #")}`)
    this.#sent.push({ correlation: kafka.request(API.produce, PRODUCE_VERSION, body.end()), where, records })
  }
}
