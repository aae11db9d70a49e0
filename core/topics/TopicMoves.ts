/** Moves of topics to other engines and modes, as an administrator asks for them on any shard, and what the shard itself does of them. */
import type { Effect } from "effect"
import { ShardMoves, type ShardMovesParts } from "./ShardMoves.ts"
import type { TopicRequest } from "./TopicCoordinator.ts"
import type { TopicError } from "./TopicError.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { type MoveGate, type MoveProgress, type MoveWish, TopicMover, type TopicMoverParts } from "./TopicMover.ts"

export interface TopicMovesShape {
  /**
   * Begins to move a topic to another engine or mode while it is used; answered when it is begun. Fails with "move-refused" where it cannot
   * be, and with "moving" where another move of it is under way.
   */
  move(tenant: number, name: string, wish: MoveWish): Effect.Effect<TopicInfo, TopicError>
  /** Gives a move up; done when the topic is as it was. Fails with "not-moving" where there is none, or not any more. */
  cancel(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError>
  /** Moves that are under way, and the last of those that are over. */
  all(): Effect.Effect<ReadonlyArray<MoveProgress>>
}

export interface TopicMovesParts extends Omit<ShardMovesParts, "synced">, Omit<TopicMoverParts, "gate"> {
  readonly synced?: (() => Promise<void>) | undefined
  readonly gate?: MoveGate | undefined
  /** Has the coordinator of a topic's name do it. */
  readonly ask: (request: TopicRequest) => Effect.Effect<TopicInfo, TopicError>
}

export class TopicMoves implements TopicMovesShape {
  readonly own: ShardMoves
  /** Of the names that this shard coordinates. */
  readonly mover: TopicMover
  readonly #ask: TopicMovesParts["ask"]

  constructor({ synced = () => Promise.resolve(), gate = { moves: 0, backups: 0 }, ...parts }: TopicMovesParts) {
    this.own = new ShardMoves({ ...parts, synced })
    this.mover = new TopicMover({ ...parts, gate })
    this.#ask = parts.ask
  }

  move(tenant: number, name: string, { bytesPerSecond, ...wish }: MoveWish): Effect.Effect<TopicInfo, TopicError> {
    return this.#ask({ verb: "move", tenant, topic: { name, ...wish }, bytesPerSecond })
  }

  cancel(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError> {
    return this.#ask({ verb: "cancel-move", tenant, topic: { name } })
  }

  /** For the end of the shard: nothing is begun or goes on any more. What is left of it the next start removes. */
  close(): void {
    this.mover.close()
    this.own.close()
  }

  all(): Effect.Effect<ReadonlyArray<MoveProgress>> {
    return this.mover.all()
  }
}
