/** A simulated Kafka producer: batches of a few records to one or more partitions, keyed with topic names, with other keys, or not at all. */
import { batch, type CodecName, partitionOf } from "../support/record-batch.ts"
import { KafkaActor } from "./KafkaActor.ts"
import { decodeMetadata, decodeProduce, encodeMetadata, encodeProduce } from "./kafka-packets.ts"
import type { LogModel } from "./LogModel.ts"
import { BOUND_NAMES, KAFKA_MADE_TOPICS } from "./Scenario.ts"
import type { SimMessage, World } from "./World.ts"

const REQUESTS_IN_FLIGHT_MAX = 4
const CODECS: ReadonlyArray<CodecName> = ["none", "none", "none", "gzip", "lz4", "zstd"]

export class KafkaProducer {
  readonly actor: KafkaActor
  readonly #world: World
  readonly #log: LogModel
  readonly #taken: (message: SimMessage, sentAt: number) => void

  constructor(world: World, log: LogModel, name: string, taken: (message: SimMessage, sentAt: number) => void) {
    this.actor = new KafkaActor(world, name)
    this.#world = world
    this.#log = log
    this.#taken = taken
  }

  live(): void {
    const world = this.#world
    world.after(world.chance.below(60), () => {
      if (world.isSettling) return
      this.#act()
      this.live()
    })
  }

  #act(): void {
    const world = this.#world
    const { actor } = this
    if (actor.dueCount >= REQUESTS_IN_FLIGHT_MAX) return
    world.stepsLeft -= 1
    const fate = world.chance.below(32)
    if (fate < 1) actor.leave("cut")
    else if (fate < 2) actor.leave("finish")
    else if (fate < 5) this.#askFor(world.pick(KAFKA_MADE_TOPICS))
    else this.#produce()
  }

  /** Makes a topic where it is missing. */
  #askFor(topic: string): void {
    this.actor.request(
      (correlation) => encodeMetadata(correlation, [topic]),
      0,
      (reader) => {
        for (const { name, error, partitions } of decodeMetadata(reader)) {
          this.#world.check(error === 0 || error === 5, () => `metadata of ${name}: error ${error}`)
          if (error === 0) this.#log.learned(name, partitions)
        }
      }
    )
  }

  #produce(): void {
    const world = this.#world
    const { chance } = world
    const { binding } = world.scenario
    const topic = chance.chance(2, 3) ? binding.topic : world.pick([...this.#log.topics.keys(), binding.topic])
    const partitions = topic === binding.topic ? binding.partitions : (this.#log.topics.get(topic) ?? 1)
    const acks = world.pick([-1, -1, -1, 1, 1, 0])
    const chosen = new Set(Array.from({ length: 1 + chance.below(2) }, () => chance.below(partitions)))
    const sent = new Map([...chosen].map((partition) => [partition, this.#records(topic, partition, partitions, acks)]))
    const batches = [...sent].map(([partition, messages]) => [partition, this.#batch(messages)] as const)
    const first = [...sent.values()][0]?.[0]
    world.note(`${this.actor.name} -> Produce ${topic} acks ${acks} from ${first?.message.id}`)
    this.actor.request(
      (correlation) => encodeProduce(correlation, acks, topic, batches),
      0,
      acks === 0
        ? undefined
        : (reader) => {
            for (const { partition, error, baseOffset } of decodeProduce(reader)) {
              world.check(error === 0, () => `produce to ${topic}/${partition}: error ${error}`)
              const now = world.moment()
              for (const [index, { message }] of (sent.get(partition) ?? []).entries()) {
                message.acknowledgedAt = now
                this.#log.acknowledged(message, baseOffset + index)
                this.#taken(message, message.sentAt)
              }
            }
          }
    )
  }

  #records(topic: string, partition: number, partitions: number, acks: number): ReadonlyArray<Produced> {
    const world = this.#world
    const { chance } = world
    const isBound = topic === world.scenario.binding.topic
    const own = topic.replaceAll(".", "/")
    const names = isBound ? BOUND_NAMES.filter((name) => partitionOf(name, partitions) === partition) : [own]
    const count = 1 + chance.below(4)
    return Array.from({ length: count }, () => {
      const kind = chance.below(4)
      const name = names.length === 0 ? undefined : world.pick(names)
      const key = kind === 0 ? null : kind === 1 || name === undefined ? "some key" : name
      // Without a name of its own in its key a record goes out on the binding's, where that has no wildcard.
      const delivered = key !== null && key === name ? name : isBound ? "" : own
      const message = world.message({
        publisher: `${this.actor.name}/${this.actor.connections}/${partition}`,
        source: "kafka",
        topic: delivered,
        qos: 1,
        retain: false,
        hasProperty: false,
        paddingMax: acks === 0 ? 20 : 300
      })
      message.transmissions = 1
      this.#log.producing(message, topic, partition, key)
      return { message, key }
    })
  }

  #batch(records: ReadonlyArray<Produced>): Uint8Array {
    const timestamp = this.#world.simulation.clock.nowMs()
    return batch(
      records.map(({ message, key }) => ({ key, value: message.payload })),
      { codec: this.#world.pick(CODECS), timestamp }
    )
  }
}

interface Produced {
  readonly message: SimMessage
  readonly key: string | null
}
