/** A simulated Kafka consumer without a group: it learns of topics, follows their partitions by long polls, and now and then goes back. */

import { KafkaActor } from "./KafkaActor.ts"
import {
  decodeFetch,
  decodeMetadata,
  encodeFetch,
  encodeMetadata,
  type FetchBounds,
  type FetchWish,
  type TopicPartition
} from "./kafka-packets.ts"
import type { LogModel } from "./LogModel.ts"
import { show, type World } from "./World.ts"

const WAIT_MS_MAX = 8_000
/** A small answer is here so long after it was due, ms; over the slowest network it takes longer. */
const SLACK_MS = 700
const SLOW_SLACK_MS = 3_000
const SLOW_DELAY_MS = 5
/** Looks under way, at most. */
const LOOKS_MAX = 20
const SMALL_BYTES_MAX = 2_000

export class KafkaFetcher {
  readonly actor: KafkaActor
  readonly #world: World
  readonly #log: LogModel
  /** Where it stands in each partition. */
  readonly #positions = new Map<string, number>()

  constructor(world: World, log: LogModel, name: string) {
    this.actor = new KafkaActor(world, name)
    this.#world = world
    this.#log = log
  }

  live(): void {
    const world = this.#world
    world.after(world.chance.below(80), () => {
      if (world.isSettling) return
      this.#act()
      this.live()
    })
  }

  #act(): void {
    const { chance } = this.#world
    const fate = chance.below(64)
    if (fate < 1) this.actor.leave("cut")
    else if (fate < 2) this.actor.leave("finish")
    else if (fate < 3) this.actor.leave("vanish")
    else if (this.actor.dueCount >= 2) return
    else if (fate < 14 || this.#log.topics.size === 0) this.learn()
    else if (fate < 17) this.#positions.clear()
    else {
      const wishes = this.#partitions.filter(() => chance.chance(2, 3)).map((each) => this.#wish(each))
      if (wishes.length === 0) return
      this.#fetch(wishes, {
        waitMsMax: this.#world.pick([0, 50, 500, WAIT_MS_MAX]),
        sizeMin: this.#world.pick([0, 1, 1, 3_000]),
        sizeMax: this.#world.pick([100, 5_000, 1_000_000]),
        partitionSizeMax: this.#world.pick([1, 1_000, 1_000_000])
      })
    }
  }

  /** Looks at one partition now, from where it stands. */
  look(where: TopicPartition): void {
    if (this.actor.dueCount >= LOOKS_MAX) return
    this.#fetch([this.#wish(where)], { waitMsMax: 0, sizeMin: 0, sizeMax: 5_000, partitionSizeMax: 5_000 })
  }

  /** Waits for what comes next in one partition. */
  wait(where: TopicPartition): void {
    const bounds = { waitMsMax: WAIT_MS_MAX, sizeMin: 1, sizeMax: 1_000_000, partitionSizeMax: 1_000_000 }
    this.#fetch([this.#wish(where)], bounds)
  }

  /** Asks which topics there are. */
  learn(): void {
    this.actor.request(
      (correlation) => encodeMetadata(correlation, null),
      0,
      (reader) => {
        for (const { name, error, partitions } of decodeMetadata(reader)) {
          this.#world.check(error === 0, () => `metadata of ${name}: error ${error}`)
          this.#log.learned(name, partitions)
        }
      }
    )
  }

  /** Reads on where something is left; false where nothing is. */
  readOn(): boolean {
    const behind = this.#partitions.filter((each) => {
      const position = this.#positions.get(nameOf(each))
      return position === undefined || position < this.#log.highWatermarkOf(each)
    })
    if (behind.length === 0) return false
    const bounds = { waitMsMax: 0, sizeMin: 0, sizeMax: 10_000_000, partitionSizeMax: 10_000_000 }
    if (this.actor.dueCount === 0)
      this.#fetch(
        behind.map((each) => this.#wish(each)),
        bounds
      )
    return true
  }

  get #partitions(): ReadonlyArray<TopicPartition> {
    return [...this.#log.topics].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition }))
    )
  }

  #wish(where: TopicPartition): FetchWish {
    return { ...where, offset: this.#positions.get(nameOf(where)) ?? 0 }
  }

  #fetch(wishes: ReadonlyArray<FetchWish>, bounds: FetchBounds): void {
    const world = this.#world
    const askedAt = world.moment()
    const floors = wishes.map((wish) => this.#log.highWatermarkOf(wish))
    const askedMs = world.nowMs
    const isAlone = this.actor.dueCount === 0
    world.note(`${this.actor.name} -> Fetch of ${wishes.length} partitions, up to ${bounds.waitMsMax} ms`)
    this.actor.request(
      (correlation) => encodeFetch(correlation, wishes, bounds),
      bounds.waitMsMax,
      (reader) => {
        const { error, answers } = decodeFetch(reader)
        world.check(error === 0, () => `fetch: error ${error}`)
        world.check(
          answers.length === wishes.length,
          () => `fetch of ${wishes.length} partitions: ${answers.length} answers`
        )
        let size = 0
        let isMoreThere = false
        for (const [index, answer] of answers.entries()) {
          const wish = wishes[index]
          if (wish === undefined || nameOf(wish) !== nameOf(answer))
            throw world.violation(`fetch: ${nameOf(answer)} was not asked for`)
          size += answer.records.length
          // Offsets below the log start are forgotten: begin again where the log does.
          if (answer.error === 1)
            this.#positions.set(nameOf(wish), answer.logStartOffset < 0 ? 0 : answer.logStartOffset)
          else this.#answered(wish, answer, askedAt, floors[index] ?? 0)
          isMoreThere ||= (this.#positions.get(nameOf(wish)) ?? 0) < answer.highWatermark
        }
        if (size <= SMALL_BYTES_MAX && isAlone) this.#checkWait(wishes, bounds, askedAt, askedMs)
        // An answer that is not full enough comes only when the time is up; what is there and has no room in it counts, and no client can
        // want more than it takes.
        const isEarly = world.nowMs - askedMs < bounds.waitMsMax && !world.isSettling
        world.check(
          !isEarly ||
            size >= Math.min(bounds.sizeMin, bounds.sizeMax) ||
            isMoreThere ||
            answers.some((each) => each.error !== 0),
          () => `fetch: ${size} bytes before the time was up`
        )
      }
    )
  }

  /** A small answer came neither long after its time, nor long after there was something to tell. */
  #checkWait(
    wishes: ReadonlyArray<FetchWish>,
    { waitMsMax, sizeMin }: FetchBounds,
    askedAt: number,
    askedMs: number
  ): void {
    const world = this.#world
    const waitedMs = world.nowMs - askedMs
    const slackMs = (world.scenario.network.delayMsMax ?? 0) > SLOW_DELAY_MS ? SLOW_SLACK_MS : SLACK_MS
    world.check(waitedMs <= waitMsMax + slackMs, () => `fetch: ${waitedMs} ms instead of ${waitMsMax}`)
    if (sizeMin > 1) return
    for (const wish of wishes) {
      const missed = this.#log.missedBy(wish, wish.offset, askedAt, slackMs)
      if (missed !== undefined) world.fail(`fetch: waited ${waitedMs} ms, and ${show(missed)} was there`)
    }
  }

  #answered(
    wish: FetchWish,
    answer: ReturnType<typeof decodeFetch>["answers"][number],
    askedAt: number,
    floor: number
  ): void {
    this.#log.fetched(answer, wish.offset, askedAt, floor)
    const { records } = answer
    let next = wish.offset
    for (let position = 0; position + 61 <= records.length; ) {
      const size = 12 + records.readInt32BE(position + 8)
      if (position + size > records.length) break
      next = Number(records.readBigInt64BE(position)) + records.readInt32BE(position + 23) + 1
      position += size
    }
    this.#positions.set(nameOf(wish), next)
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
