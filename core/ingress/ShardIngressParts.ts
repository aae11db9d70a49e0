/** What a shard's ingress is made of, and what it counts. */
import type { AccessShape } from "../access/Access.ts"
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { JournalShape } from "../journal/Journal.ts"
import type { LinkPort } from "../link/LinkPort.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { Resolutions } from "../router/Resolutions.ts"
import type { ShardRouter } from "../router/Router.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"
import type { Message } from "./Message.ts"
import type { Retained } from "./Retained.ts"
import type { Tokens } from "./Tokens.ts"

/** What this ingress counts; read at scrape. */
export interface IngressCounts {
  published: number
  stored: number
  queued: number
  forwarded: number
  refusedAccess: number
  refusedStorage: number
  unmatched: number
}

export interface ShardIngressParts {
  readonly port: LinkPort
  readonly router: ShardRouter
  readonly resolutions: Resolutions
  readonly topics: ShardTopics
  readonly retained: Retained
  readonly queueLog: QueueAppender
  readonly tokens: Tokens
  readonly journal: JournalShape
  /** Whether there is room for more on disk. Absent = always. */
  readonly room?: Pick<StorageBudgetShape, "refusal">
  readonly access: AccessShape
  readonly clock: ClockShape
}

/** The queue log of this shard, as far as storing goes. */
export interface QueueAppender {
  /** Appends in this turn's entry, and notes the place in the message; a negative refusal where it cannot. */
  appendUnsafe(message: Message): number
}
