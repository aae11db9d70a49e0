/**
 * Brings a shared subscription that replays what topics have stored: a cursor in each partition, read for good as one session's replay is, and
 * for the whole group.
 *
 * Invariants
 *  - What a cursor says is wanted is given to the host once, in the order of its partition's offsets.
 *  - Nothing is read while the host has no room.
 *  - A partition has its number as long as the group is there; one whose log has begun anew is another one, with another number.
 */
import {
  type HistoryRead,
  homeFrom,
  type Message,
  OUT_OF_RANGE,
  type PartitionState,
  SharedCursor,
  type TopicInfo
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { keyOf } from "../replay/Cursor.ts"
import { PARTITIONS_MAX, type ReplayPlace } from "../replay/find-start.ts"
import { awaitCommit, LogTail } from "../replay/LogTail.ts"
import { NewTopics } from "../replay/NewTopics.ts"
import { RETRY_MS, RETRY_NEW_MS } from "../replay/replay-options.ts"
import type { FeedHost } from "./GroupFeed.ts"
import type { GroupSource, SourcesRow } from "./group-rows.ts"

/** The numbers of queue logs lie below, those of partitions above. */
export const SOURCES_FROM = 65_536
/** Partitions that the groups of a shard replay together, about: what comes later is left out, and no group is made that does. */
export const REPLAYED_MAX = 100_000
const READ_MESSAGES_MAX = 256
const READ_BYTES_MAX = 262_144

class Source {
  readonly number: number
  readonly topic: TopicInfo
  readonly partition: number
  readonly cursor: SharedCursor
  readonly tail = new LogTail()
  /** Where its log ended at the last {@link GroupReplay.passOn}. */
  end = 0
  /** Which log the cursor stands in; undefined = not known yet. */
  incarnation: number | undefined
  stopWaiting: (() => void) | undefined
  /** Rises when something is to be read again: what was read for an earlier one says nothing of where to go on. */
  generation = 0

  constructor(number: number, place: ReplayPlace, open: ReadonlyArray<number> = []) {
    this.number = number
    this.topic = place.topic
    this.partition = place.partition
    this.incarnation = place.incarnation
    this.cursor = new SharedCursor([{ next: place.offset, open }])
  }

  get position(): number {
    return this.cursor.position(0)
  }
}

export class GroupReplay {
  readonly #broker: Broker
  readonly #host: FeedHost
  readonly #tenant: number
  readonly #filter: string
  readonly #sources = new Map<number, Source>()
  readonly #byPartition = new Map<string, Source>()
  /** Those with something to read, in turn. */
  readonly #behind = new Set<Source>()
  #last = SOURCES_FROM - 1
  readonly #newTopics = new NewTopics()
  #isReading = false
  #isEnded = false
  /** How many topics had been removed at the last {@link GroupReplay.passOn}, and when it was looked for those that are gone. */
  #removals = 0
  #removalsSeen = 0

  constructor(broker: Broker, host: FeedHost, tenant: number, filter: string) {
    this.#broker = broker
    this.#host = host
    this.#tenant = tenant
    this.#filter = filter
  }

  /** Begins where the member that makes the group wants it. */
  begin(places: ReadonlyArray<ReplayPlace>): void {
    for (const place of places) this.#add(place)
    this.#start()
  }

  /** Goes on from a row; topics that are gone are left out. */
  resume({ last, sources }: SourcesRow): void {
    this.#last = last
    for (const { log, topicId, partition, incarnation, position } of sources) {
      const topic = this.#broker.services.topics.findById(topicId)
      if (topic === undefined) continue
      const place = { topic, partition, offset: position.next, incarnation }
      this.#put(new Source(log, place, position.open))
    }
    this.#start()
  }

  /** What the row says of it. */
  state(): SourcesRow {
    const sources: Array<GroupSource> = []
    for (const { number, topic, partition, incarnation, cursor } of this.#sources.values()) {
      const [position = { next: 0, open: [] }] = cursor.state()
      sources.push({ log: number, topicId: topic.id, partition, incarnation, position })
    }
    return { last: this.#last, sources }
  }

  /** The cursor that stands in a partition; undefined where that is gone. */
  cursorOf(log: number): SharedCursor | undefined {
    return this.#sources.get(log)?.cursor
  }

  /** The sum of its positions. */
  get sum(): number {
    let sum = 0
    for (const { position } of this.#sources.values()) sum += position
    return sum
  }

  #start(): void {
    this.#newTopics.start(this.#broker.services.history, this.#tenant, this.#filter, (topic) => this.#came(topic))
  }

  /** A topic came to be since, or to be the home of these names: all that it has from there on is new. */
  #came(topic: TopicInfo): void {
    const { counts } = this.#broker
    let isMore = false
    for (let partition = 0; partition < topic.partitions; partition++) {
      if (this.#byPartition.has(keyOf(topic, partition))) continue
      if (this.#hasRoomForOne()) {
        this.#add({ topic, partition, offset: homeFrom(topic, partition, this.#filter), incarnation: undefined })
        isMore = true
      } else counts.replayLeftOut += 1
    }
    if (!isMore) return
    this.#host.moved()
    // It may have come just now: its partitions are being opened in the next turn.
    this.#broker.services.clock.immediate(() => this.drain())
  }

  /** A live message of a topic that stores it: it is read in its place. False where there is no room for its partition. */
  deliver(message: Message): boolean {
    const { history } = this.#broker.services
    const home = history.homeOf(message.tenant, message.name)
    // Of a topic that is not known here yet, or not as this name's home, it is told when it is.
    if (home === undefined || message.partition >= home.partitions) return true
    const known = this.#byPartition.get(keyOf(home, message.partition))
    if (known !== undefined) {
      if (known.tail.hear(message.offset)) this.#awaitCommit(known)
      return true
    }
    if (!this.#hasRoomForOne()) return false
    const offset = this.#newTopics.isLooking ? homeFrom(home, message.partition, this.#filter) : message.offset
    this.#add({ topic: home, partition: message.partition, offset, incarnation: undefined })
    this.#host.moved()
    this.drain()
    return true
  }

  /** Something is to be read again. */
  rewind(): void {
    for (const source of this.#sources.values()) this.#again(source)
  }

  end(): void {
    this.#isEnded = true
    this.#newTopics.stop()
    this.#broker.shared.replayed.count -= this.#sources.size
    for (const { stopWaiting } of this.#sources.values()) stopWaiting?.()
  }

  /** Reads on, as far as there is room. */
  drain(): void {
    const { services } = this.#broker
    const [source] = this.#behind
    const { room } = this.#host
    if (source === undefined || room <= 0 || this.#isReading || this.#isEnded) return
    this.#isReading = true
    const { generation, cursor, topic, partition, position: offset, incarnation } = source
    const isMeant = (): boolean => !this.#isEnded && generation === source.generation
    const visit = (message: Message): boolean => {
      if (!isMeant()) return false
      if (!cursor.isWanted(0, message.offset)) return true
      if (this.#host.room <= 0) return false
      this.#host.take(message.owned(), source.number, message.offset)
      return isMeant()
    }
    const limits = { messages: Math.min(room, READ_MESSAGES_MAX), bytes: READ_BYTES_MAX }
    const goOn = (): void => {
      this.#isReading = false
      if (!this.#isEnded) this.drain()
    }
    services.history.read(topic, partition, { offset, incarnation }, this.#filter, limits, visit).then(
      (read) => {
        if (isMeant()) this.#took(source, read)
        // In a turn of its own: others on this shard have theirs between two readings.
        services.clock.immediate(goOn)
      },
      () => {
        this.#wait(source, (again) => cancelOf(services.clock.after(RETRY_MS, again)))
        goOn()
      }
    )
  }

  #took(source: Source, read: HistoryRead): void {
    const { refusal, next, isAtEnd, logStartOffset, endOffset, incarnation } = read
    const { topics, clock } = this.#broker.services
    // The others have their turn.
    this.#behind.delete(source)
    if (refusal !== 0 && refusal !== OUT_OF_RANGE) {
      if (topics.findById(source.topic.id) === undefined) this.#remove(source)
      else {
        const isNew = source.position === 0 && source.incarnation === undefined
        this.#wait(source, (again) => cancelOf(clock.after(isNew ? RETRY_NEW_MS : RETRY_MS, again)))
      }
      return
    }
    const isOther = source.incarnation !== undefined && source.incarnation !== incarnation
    if (isOther || (refusal !== 0 && logStartOffset < source.position)) {
      // The log has begun anew: all that is there is new.
      this.#broker.counts.replayGaps += 1
      this.#remove(source)
      this.#add({ topic: source.topic, partition: source.partition, offset: logStartOffset, incarnation })
      this.#host.moved()
      return
    }
    source.incarnation = incarnation
    if (refusal !== 0) {
      // What it has not read yet is gone; where it rested until it was told, nothing matched up to there.
      if (source.tail.awaited(source.position) < logStartOffset) this.#broker.counts.replayGaps += 1
      source.cursor.passed(0, logStartOffset)
      source.tail.renew()
      this.#host.moved()
      this.#behind.add(source)
      return
    }
    source.tail.answered(endOffset)
    source.cursor.passed(0, next)
    if (!isAtEnd) this.#behind.add(source)
    else if (!source.tail.rest(source.position)) this.#awaitCommit(source)
  }

  /** Goes where the logs ended at the last call where it rests: what was appended there matches nothing, as for one session's replays (`Passing`). */
  passOn(): void {
    const { logs, history } = this.#broker.services
    this.#forgetGone()
    const isMoved = history.removals !== this.#removals
    this.#removals = history.removals
    for (const source of this.#sources.values()) {
      const { topic, partition, cursor, tail } = source
      if (!tail.isAtRest) continue
      if (isMoved) this.#again(source)
      else cursor.passed(0, source.end)
      source.end = 0
      const told = ({ refusal, highWatermark }: PartitionState): void => {
        source.end = refusal === 0 ? highWatermark : 0
      }
      const state = logs.state(topic, partition)
      if (state instanceof Promise) state.then(told, () => {})
      else told(state)
    }
  }

  #awaitCommit(source: Source): void {
    const { topic, partition, tail, position } = source
    source.stopWaiting?.()
    this.#wait(source, (again) => awaitCommit(this.#broker.services, topic, partition, tail.awaited(position), again))
  }

  #wait(source: Source, begin: (again: () => void) => () => void): void {
    this.#behind.delete(source)
    source.stopWaiting = begin(() => {
      source.stopWaiting = undefined
      if (this.#isEnded || this.#sources.get(source.number) !== source) return
      this.#behind.add(source)
      this.drain()
    })
  }

  #again(source: Source): void {
    source.generation += 1
    source.tail.renew()
    source.stopWaiting?.()
    source.stopWaiting = undefined
    this.#behind.add(source)
  }

  #hasRoomForOne(): boolean {
    if (!this.#isBelowBounds) this.#forgetGone()
    return this.#isBelowBounds
  }

  /** Topics that are no more. */
  #forgetGone(): void {
    const { topics, history } = this.#broker.services
    if (history.removals === this.#removalsSeen) return
    this.#removalsSeen = history.removals
    for (const source of [...this.#sources.values()]) {
      if (topics.findById(source.topic.id) === undefined) this.#remove(source)
    }
  }

  /** Of its own, and of all groups of the shard. */
  get #isBelowBounds(): boolean {
    return this.#sources.size < PARTITIONS_MAX && this.#broker.shared.replayed.count < REPLAYED_MAX
  }

  #add(place: ReplayPlace): void {
    this.#last += 1
    this.#put(new Source(this.#last, place))
  }

  #put(source: Source): void {
    this.#sources.set(source.number, source)
    this.#broker.shared.replayed.count += 1
    this.#byPartition.set(keyOf(source.topic, source.partition), source)
    this.#behind.add(source)
  }

  #remove(source: Source): void {
    source.stopWaiting?.()
    if (this.#sources.delete(source.number)) this.#broker.shared.replayed.count -= 1
    this.#byPartition.delete(keyOf(source.topic, source.partition))
    this.#behind.delete(source)
  }
}

function cancelOf(timer: { cancel(): void }): () => void {
  return () => timer.cancel()
}
