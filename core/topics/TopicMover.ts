/**
 * Moves of topics from one engine or mode to another, run by the coordinator of the topic's name: copy, hold, agree, switch.
 *
 * Invariants
 *  - What a copy leaves behind stands in the meta store (`topic-moves/<id>`) before the first of it is written, until it is gone.
 *  - The meta store's one transaction decides which log is the topic's. Before it the former one is whole and in use; after it the new
 *    one is whole and committed; held partitions go on when it is known which.
 *  - The former log is forgotten when what was agreed is synced.
 *  - From the hold to the switch it is the topic's turn: nothing else is changed of it meanwhile.
 */
import { Effect } from "effect"
import type { LinkPort } from "../link/LinkPort.ts"
import type { Mode } from "../log/Engines.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { AgreedTopics } from "./AgreedTopics.ts"
import { type CopyState, isCopied, type MoveTask } from "./ShardMoves.ts"
import { TopicError } from "./TopicError.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import type { TopicTurns } from "./TopicTurns.ts"
import type { AgreedMove } from "./topic-codec.ts"

/** Of one topic, where nobody says otherwise. */
export const BYTES_PER_SECOND = 33_554_432
/** Moves that are over and can be looked at. */
const KEPT_MAX = 100
/** Between two looks at the copies, and after an attempt to switch that took too long. */
const LOOK_MS = 100
const AGAIN_MS = 1_000
/** Records of one partition that may be left to copy when appends begin to wait. */
const LAG_MAX = 2_000

export type MoveStage = "copying" | "switching" | "removing" | "done" | "failed" | "cancelled"

export interface MoveProgress extends AgreedMove {
  readonly stage: MoveStage
  /** Of all partitions, as far as they were copied. */
  readonly copies: ReadonlyArray<CopyState>
  /** Why it failed; "" = it did not. */
  readonly reason: string
}

/** What somebody wants a topic to be. */
export interface MoveWish {
  readonly engine?: string
  readonly mode?: Mode
  /** Of all partitions together. */
  readonly bytesPerSecond?: number
}

/** Backups and moves of a node keep apart: a backup of a store before a switch, and of the meta store behind it, would have half a log. */
export interface MoveGate {
  moves: number
  backups: number
}

export interface TopicMoverParts {
  readonly gate: MoveGate
  readonly port: LinkPort
  readonly agreed: AgreedTopics
  readonly turns: TopicTurns
  readonly clock: ClockShape
  readonly log: (message: string) => void
}

class Move implements MoveProgress {
  readonly from: TopicInfo
  readonly to: TopicInfo
  readonly bytesPerSecond: number
  stage: MoveStage = "copying"
  copies: ReadonlyArray<CopyState> = []
  reason = ""
  isCancelled = false
  /** Settled when it is over. */
  readonly ended: Promise<void>
  readonly end: () => void

  constructor({ from, to }: AgreedMove, bytesPerSecond: number) {
    this.from = from
    this.to = to
    this.bytesPerSecond = bytesPerSecond
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.end = resolve
  }

  get isOver(): boolean {
    return this.stage === "done" || this.stage === "failed" || this.stage === "cancelled"
  }

  get progress(): MoveProgress {
    const { from, to, stage, copies, reason } = this
    return { from, to, stage, copies, reason }
  }
}

export class TopicMover {
  readonly #parts: TopicMoverParts
  /** By id, in the order in which they began; those that are over, too, for a while. */
  readonly #moves = new Map<string, Move>()
  /** Moves that are about to begin, by topic id: settled when they have, or will not. */
  readonly #beginnings = new Map<string, Promise<void>>()
  /** Topics of which no move may begin now, and how often that was said. */
  readonly #barred = new Map<string, number>()
  #isClosed = false

  constructor(parts: TopicMoverParts) {
    this.#parts = parts
    parts.port.answer("topics.moves", () => ({ facts: [...this.#moves.values()].map(({ progress }) => progress) }))
  }

  /** Moves that are not over. */
  get running(): number {
    return [...this.#moves.values()].filter(({ isOver }) => !isOver).length
  }

  /** Those of all shards: each name's are with its coordinator. */
  all(): Effect.Effect<ReadonlyArray<MoveProgress>> {
    return Effect.promise(() => this.#everywhere("topics.moves", null)).pipe(
      Effect.map((answers) => (answers as ReadonlyArray<ReadonlyArray<MoveProgress>>).flat())
    )
  }

  /** Begins a move; answered when it is begun. Fails where it is refused. */
  begin(from: TopicInfo, wish: MoveWish): Effect.Effect<TopicInfo, TopicError> {
    return Effect.suspend(() => {
      const refused = this.#refusal(from)
      if (refused !== undefined) return Effect.fail(refused)
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#beginnings.set(from.id, promise)
      return Effect.ensuring(
        this.#plan(from, wish),
        Effect.sync(() => {
          this.#beginnings.delete(from.id)
          resolve()
        })
      )
    })
  }

  /** Why no move of the topic may begin now. */
  #refusal({ id, name }: TopicInfo): TopicError | undefined {
    const error = (reason: TopicError["reason"], message: string): TopicError =>
      new TopicError({ topic: name, reason, message })
    if (this.#isClosed) return error("meta-store", "the node stops")
    if (this.#barred.has(id)) return error("move-refused", "it is being deleted")
    if (this.#parts.gate.backups > 0) return backedUp(name)
    const isMoving = this.#beginnings.has(id) || this.#moves.get(id)?.isOver === false
    return isMoving ? error("moving", "it is being moved; cancel that first") : undefined
  }

  #plan(from: TopicInfo, wish: MoveWish): Effect.Effect<TopicInfo, TopicError> {
    return Effect.gen({ self: this }, function* () {
      const { gate } = this.#parts
      const to = yield* this.#parts.agreed.planMove(from, wish)
      const move = new Move({ from, to }, wish.bytesPerSecond ?? BYTES_PER_SECOND)
      // From now on a backup is refused; one that began while that was looked up goes first.
      if (gate.backups > 0) return yield* backedUp(from.name)
      gate.moves += 1
      const noted = isCopied(move) ? this.#parts.agreed.noteMove(move) : Effect.void
      yield* Effect.tapError(noted, () => Effect.sync(() => void (gate.moves -= 1)))
      this.#moves.delete(from.id)
      this.#moves.set(from.id, move)
      this.#trim()
      void this.#run(move).then(() => {
        gate.moves -= 1
      })
      return from
    })
  }

  /** Gives a move up; done when nothing of it is under way. Fails where there is none, or where it cannot be given up any more. */
  cancel(topic: TopicInfo): Effect.Effect<TopicInfo, TopicError> {
    return Effect.gen({ self: this }, function* () {
      const move = this.#moves.get(topic.id)
      const message = "it is not being moved"
      if (move === undefined || move.isOver)
        return yield* new TopicError({ topic: topic.name, reason: "not-moving", message })
      move.isCancelled = true
      yield* Effect.promise(() => move.ended)
      if (move.stage === "cancelled" || move.stage === "failed") return topic
      return yield* new TopicError({ topic: topic.name, reason: "not-moving", message: "it had been moved already" })
    })
  }

  /** Carries out what no move may meet, a deletion: one that is under way is given up where that can be, and none is begun meanwhile. */
  without<A, E>(topic: TopicInfo, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const { id } = topic
    return Effect.suspend(() => {
      this.#barred.set(id, (this.#barred.get(id) ?? 0) + 1)
      const begun = Effect.promise(() => this.#beginnings.get(id) ?? Promise.resolve())
      const stopped = Effect.andThen(begun, Effect.ignore(this.cancel(topic)))
      return Effect.ensuring(
        Effect.andThen(stopped, effect),
        Effect.sync(() => {
          const count = (this.#barred.get(id) ?? 1) - 1
          if (count === 0) this.#barred.delete(id)
          else this.#barred.set(id, count)
        })
      )
    })
  }

  /** Nothing is begun any more. */
  close(): void {
    this.#isClosed = true
  }

  async #run(move: Move): Promise<void> {
    const { from, to } = move
    const { log } = this.#parts
    const words = `topic ${from.name}: engine ${from.engine}, mode ${from.mode} to engine ${to.engine}, mode ${to.mode}`
    try {
      if (isCopied(move)) await this.#copied(move)
      while (
        !(await Effect.runPromise(
          this.#parts.turns.take(
            from,
            Effect.promise(() => this.#switched(move))
          )
        ))
      ) {
        await this.#wait(AGAIN_MS)
        if (isCopied(move)) await this.#copied(move)
      }
      move.stage = "removing"
      if (isCopied(move)) await this.#leave(move, from)
      move.stage = "done"
      log(`${words}: done`)
    } catch (error) {
      if (this.#isClosed) return
      const reason = error instanceof Error ? error.message : String(error)
      await this.#everywhere("topics.move.drop", from).catch(() => {})
      // What is left to be removed is, at the next start at the latest.
      if (isCopied(move)) await this.#leave(move, to).catch(() => {})
      move.reason = move.isCancelled ? "" : reason
      move.stage = move.isCancelled ? "cancelled" : "failed"
      log(`${words}: ${move.isCancelled ? "cancelled" : `failed: ${reason}`}; it stays as it was`)
    } finally {
      move.end()
    }
  }

  /** Settled when nearly all is copied. Rejects where that cannot be, or the move was cancelled. */
  async #copied(move: Move): Promise<void> {
    const { from, to } = move
    if (move.copies.length === 0) {
      const bytesPerSecond = Math.max(1, Math.floor(move.bytesPerSecond / from.partitions))
      const task: MoveTask = { from, to, bytesPerSecond }
      const refused = (await this.#everywhere("topics.move.begin", task)).find((answer) => answer !== "")
      if (refused !== undefined) throw new Error(String(refused))
    }
    for (;;) {
      await this.#look(move)
      if (move.copies.every(({ lag }) => lag >= 0 && lag <= LAG_MAX)) return
      await this.#wait(LOOK_MS)
    }
  }

  async #look(move: Move): Promise<void> {
    const { from } = move
    const answers = (await this.#everywhere("topics.move.state", from.id)) as ReadonlyArray<ReadonlyArray<CopyState>>
    const copies = answers.flat()
    if (copies.length > 0) move.copies = copies.toSorted((one, other) => one.partition - other.partition)
    const failed = copies.find(({ failure }) => failure !== "")
    if (failed !== undefined) throw new Error(`partition ${failed.partition}: ${failed.failure}`)
    this.#check(move)
  }

  /** Holds all partitions, copies the rest, agrees and switches; false where that was not done in time, and nothing has changed. */
  async #switched(move: Move): Promise<boolean> {
    const { from, to } = move
    const { agreed } = this.#parts
    move.stage = "switching"
    const held = (await this.#everywhere("topics.move.hold", { from, to })).every((isHeld) => isHeld === true)
    if (!held || move.isCancelled) {
      await this.#everywhere("topics.move.release", from)
      move.stage = "copying"
      this.#check(move)
      await this.#look(move)
      return false
    }
    // Whoever appends waits until it is known what the meta store has: it cannot be said otherwise which log is the topic's.
    const now = await Effect.runPromise(agreed.agreeMove(move, () => this.#isClosed))
    if (now === undefined) throw new Error("the topic was changed or deleted meanwhile")
    await this.#everywhere("topics.move.switched", now)
    return true
  }

  /** Has the log of `info` forgotten, when what was agreed is on the disk. */
  async #leave(move: Move, info: TopicInfo): Promise<void> {
    await this.#everywhere("topics.move.synced", null)
    await Effect.runPromise(this.#parts.agreed.leaveMove(move, info))
  }

  #check(move: Move): void {
    if (move.isCancelled) throw new Error("cancelled")
    if (this.#isClosed) throw new Error("the node stops")
  }

  async #everywhere(method: string, facts: unknown): Promise<ReadonlyArray<unknown>> {
    const { port } = this.#parts
    const asked = Array.from({ length: port.shards }, (_, shard) => port.call(shard, method, { facts }))
    return (await Promise.all(asked)).map((answer) => answer.facts)
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.after(ms, resolve))
  }

  #trim(): void {
    for (const [id, { isOver }] of this.#moves) {
      if (this.#moves.size <= KEPT_MAX) return
      if (isOver) this.#moves.delete(id)
    }
  }
}

function backedUp(topic: string): TopicError {
  const message = "a backup is being made, which could have neither log whole; try again when it is done"
  return new TopicError({ topic, reason: "move-refused", message })
}
