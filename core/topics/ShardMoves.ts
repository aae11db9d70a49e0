/**
 * What one shard does of moves: it copies the partitions that it owns, keeps them from everybody for a moment, and switches.
 *
 * Invariant: partitions are held for {@link HOLD_MS_MAX} until all is copied, or given back; from then on until the topic's coordinator
 * says what the meta store has agreed on.
 */
import { Effect } from "effect"
import { assert } from "../assert.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { AgreedTopic } from "./agreed-alteration.ts"
import { keyOf } from "./OpenPartition.ts"
import type { OpenPartitions } from "./OpenPartitions.ts"
import { PartitionCopy } from "./PartitionCopy.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import type { AgreedMove } from "./topic-codec.ts"

/** Appends that wait for the rest of a copy are let go after this long; the copy goes on, and another attempt follows. */
export const HOLD_MS_MAX = 1_000
/** Between two looks at whether all of a held log is committed. */
const SETTLE_MS = 1

/** What a shard is asked to begin. */
export interface MoveTask extends AgreedMove {
  /** Of one partition. */
  readonly bytesPerSecond: number
}

/** How far a partition's copy is. */
export interface CopyState {
  readonly partition: number
  readonly copiedBytes: number
  /** Of the log in use now. */
  readonly totalBytes: number
  /** Records that are not copied; -1 = nothing is yet. */
  readonly lag: number
  /** "" = none. */
  readonly failure: string
}

interface OwnMove extends AgreedMove {
  readonly copies: Array<PartitionCopy>
}

export interface ShardMovesParts {
  readonly port: LinkPort
  readonly open: OpenPartitions
  readonly clock: ClockShape
  readonly isOwned: (info: TopicInfo, partition: number) => boolean
  /** Takes over what the topic is now, as when the meta store tells of it. */
  readonly switchTo: (agreed: AgreedTopic) => void
  /** Settled when all that this shard's journal has taken is synced. */
  readonly synced: () => Promise<void>
}

export class ShardMoves {
  /** Since the start: bytes that were copied by moves that are over. */
  #doneBytes = 0
  /** How long partitions of this shard were held the last time, and at most, ms. */
  lastHoldMs = 0
  longestHoldMs = 0
  readonly #parts: ShardMovesParts
  readonly #moves = new Map<string, OwnMove>()
  readonly #heldSinceMs = new Map<string, number>()

  constructor(parts: ShardMovesParts) {
    this.#parts = parts
    const { port, synced } = parts
    port.answer("topics.move.begin", async (_from, { facts }) => ({ facts: await this.#begin(facts as MoveTask) }))
    port.answer("topics.move.state", (_from, { facts }) => ({ facts: this.#stateOf(facts as string) }))
    port.answer("topics.move.hold", async (_from, { facts }) => ({ facts: await this.#hold(facts as AgreedMove) }))
    port.answer("topics.move.release", (_from, { facts }) => ({ facts: this.#release(facts as TopicInfo) }))
    port.answer("topics.move.drop", async (_from, { facts }) => ({ facts: await this.#drop(facts as TopicInfo) }))
    port.answer("topics.move.switched", (_from, { facts }) => {
      parts.switchTo(facts as AgreedTopic)
      return { facts: null }
    })
    port.answer("topics.move.synced", async () => {
      await synced()
      return { facts: null }
    })
  }

  /** Bytes that were copied since the start. */
  get copiedBytes(): number {
    let bytes = this.#doneBytes
    for (const { copies } of this.#moves.values()) for (const { copiedBytes } of copies) bytes += copiedBytes
    return bytes
  }

  /** Nothing is copied any more. */
  close(): void {
    for (const { copies } of this.#moves.values()) for (const copy of copies) void copy.close()
  }

  /** The topic is another now: what was held goes on there. */
  switched(info: TopicInfo): void {
    this.#parts.open.switchTo(info)
    this.#heldEnds(info.id)
    this.#forget(info.id)
  }

  /** Opens what is to be copied to and begins; "", or why it cannot be. */
  async #begin({ from, to, bytesPerSecond }: MoveTask): Promise<string> {
    const { open, isOwned, clock } = this.#parts
    assert(!this.#moves.has(from.id), "a topic is moved once at a time")
    const move: OwnMove = { from, to, copies: [] }
    this.#moves.set(from.id, move)
    for (let partition = 0; partition < from.partitions; partition++) {
      if (!isOwned(from, partition)) continue
      const log = await this.#opened(from, partition)
      if (log === undefined) return `partition ${partition} cannot be opened`
      const { nextOffset: offset, leaderEpoch } = log
      const opening = Effect.result(open.futures.open(to, partition, { offset, leaderEpoch }))
      const opened = await Effect.runPromise(opening)
      if (opened._tag === "Failure") return `partition ${partition}: ${opened.failure.message}`
      const { future } = opened.success
      if (future === undefined) return `partition ${partition} cannot be opened`
      const source = (): PartitionLog | undefined => open.logUnsafe(from, partition)
      const copy = new PartitionCopy({ partition, source, future, bytesPerSecond, clock })
      opened.success.onFailed = (reason) => copy.lost(reason)
      move.copies.push(copy)
      copy.start()
    }
    return ""
  }

  #stateOf(id: string): ReadonlyArray<CopyState> {
    return (this.#moves.get(id)?.copies ?? []).map(({ partition, copiedBytes, totalBytes, lag, failure }) => ({
      partition,
      copiedBytes,
      totalBytes,
      lag: Number.isFinite(lag) ? lag : -1,
      failure
    }))
  }

  /** Holds the partitions and copies the rest; whether that was done in time. Where it was not they are given back. */
  async #hold({ from, to }: AgreedMove): Promise<boolean> {
    const { open, isOwned, clock, synced } = this.#parts
    const copies = this.#moves.get(from.id)?.copies ?? []
    await Promise.all(copies.map((copy) => copy.halt()))
    let isOver = false
    const goesOn = (): boolean => !isOver
    const logs = new Map<number, PartitionLog>()
    for (let partition = 0; partition < from.partitions; partition++) {
      if (!isOwned(from, partition)) continue
      if ((await this.#opened(from, partition)) !== undefined) continue
      for (const copy of copies) copy.start()
      return false
    }
    this.#heldSinceMs.set(from.id, clock.monotonicMs())
    for (let partition = 0; partition < from.partitions; partition++) {
      const log = isOwned(from, partition) ? open.hold(from, partition) : undefined
      if (log !== undefined) logs.set(partition, log)
    }
    const isEverythingHeld = this.#ownedCount(from) === logs.size
    const { promise: late, resolve } = Promise.withResolvers<false>()
    const timer = clock.after(HOLD_MS_MAX, () => {
      isOver = true
      resolve(false)
    })
    const work = async (): Promise<boolean> => {
      for (const log of logs.values()) if (!(await this.#settled(log, goesOn))) return false
      const drained = await Promise.all(
        copies.map((copy) => {
          const log = logs.get(copy.partition)
          return log === undefined ? false : copy.drain(log, goesOn)
        })
      )
      if (!drained.every(Boolean)) return false
      // What is copied is known to hold what its producers sent before anybody relies on it.
      if (to.mode !== "memory") {
        for (const [partition, { producers }] of logs) {
          if (producers?.isEmpty === false && !(await producers.copyTo(keyOf(to, partition)))) return false
        }
      }
      // What the former mode had synced must not depend on what the new one leaves to the operating system.
      if (from.mode === "persistent" && to.mode === "hybrid") await synced()
      return goesOn()
    }
    const working = isEverythingHeld ? work().catch(() => false) : Promise.resolve(false)
    const isDone = await Promise.race([working, late])
    timer.cancel()
    if (isDone) return true
    isOver = true
    this.#letGo(from)
    await working
    for (const copy of copies) copy.start()
    return false
  }

  /** Lets the partitions go on as they are; their copies, too, where there are any. */
  #release(from: TopicInfo): null {
    this.#letGo(from)
    for (const copy of this.#moves.get(from.id)?.copies ?? []) copy.start()
    return null
  }

  #letGo(from: TopicInfo): void {
    this.#parts.open.release(from)
    this.#heldEnds(from.id)
  }

  /** Gives the move up; settled when nothing is copied any more and what was opened is closed. */
  async #drop(from: TopicInfo): Promise<null> {
    const { open } = this.#parts
    const copies = this.#moves.get(from.id)?.copies ?? []
    await Promise.all(copies.map((copy) => copy.halt()))
    this.#letGo(from)
    this.#forget(from.id)
    await Effect.runPromise(open.dropFutures(from.id))
    return null
  }

  /** The log of a partition, when it is open. */
  async #opened(info: TopicInfo, partition: number): Promise<PartitionLog | undefined> {
    const { open } = this.#parts
    const log = open.logUnsafe(info, partition)
    if (log !== undefined) return log
    await new Promise<void>((resolve) => open.whenSettled(info, partition, resolve))
    return open.logUnsafe(info, partition)
  }

  async #settled(log: PartitionLog, goesOn: () => boolean): Promise<boolean> {
    while (!log.isSettled && goesOn()) {
      await new Promise<void>((resolve) => void this.#parts.clock.after(SETTLE_MS, resolve))
    }
    return log.isSettled
  }

  #ownedCount(info: TopicInfo): number {
    let count = 0
    for (let partition = 0; partition < info.partitions; partition++) {
      if (this.#parts.isOwned(info, partition)) count += 1
    }
    return count
  }

  #heldEnds(id: string): void {
    const sinceMs = this.#heldSinceMs.get(id)
    if (sinceMs === undefined) return
    this.#heldSinceMs.delete(id)
    this.lastHoldMs = this.#parts.clock.monotonicMs() - sinceMs
    this.longestHoldMs = Math.max(this.longestHoldMs, this.lastHoldMs)
  }

  #forget(id: string): void {
    for (const copy of this.#moves.get(id)?.copies ?? []) {
      this.#doneBytes += copy.copiedBytes
      void copy.halt()
    }
    this.#moves.delete(id)
  }
}

/** Whether the topic has to be copied for that, or is only to promise something else. */
export function isCopied({ from, to }: AgreedMove): boolean {
  return logIdOf(from) !== logIdOf(to)
}
