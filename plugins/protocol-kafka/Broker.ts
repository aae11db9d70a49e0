/**
 * What every connection of a shard shares: the core's services as plain objects, settings, counts, one output buffer.
 *
 * The handlers get nothing else, so that a test can build one by hand.
 */
import type {
  AccessShape,
  ClockShape,
  LogsShape,
  Principal,
  TopicInfo,
  TopicsShape,
  TurnShape
} from "../../core/mod.ts"
import type { Administration } from "./Administration.ts"
import type { Connection } from "./Connection.ts"
import type { Counts } from "./Counts.ts"
import type { FetchSessions } from "./fetch-sessions/FetchSessions.ts"
import type { GroupLink } from "./groups/GroupLink.ts"
import type { Settings } from "./options.ts"
import type { ClientQuotas } from "./quotas/ClientQuotas.ts"
import type { ResponseWriter } from "./wire/ResponseWriter.ts"

/** Where clients find this node when they came through one listener. */
export interface Advertised {
  readonly host: string
  readonly port: number
}

export interface Broker {
  readonly topics: Pick<TopicsShape, "find" | "findById" | "list" | "page" | "autoCreate">
  /** Creates a topic for a Kafka client where the rules allow it; else the error code to answer with. */
  readonly createTopic: (tenant: number, name: string) => Promise<TopicInfo | number>
  readonly admin: Administration
  readonly quotas: ClientQuotas
  readonly logs: LogsShape
  /** A producer id that nobody else has; -1 where none can be had now. */
  readonly newProducerId: () => Promise<number>
  readonly access: AccessShape
  readonly clock: ClockShape
  readonly turn: TurnShape
  /** Consumer groups, wherever their owner is. */
  readonly groups: GroupLink
  readonly settings: Settings
  readonly counts: Counts
  /** The one broker that Metadata names. */
  readonly nodeId: number
  readonly clusterId: string
  readonly connections: Set<Connection>
  /** Bytes that all connections hold of frames that are not whole; bounded by `requests_held_max`. */
  heldBytes: number
  /** Bytes of stored batches in answers that are not written yet, of all connections; bounded by `fetches_held_max`. */
  fetchesHeldBytes: number
  readonly fetchSessions: FetchSessions
  /** Where responses are built before they are written; its content is nobody's after the write. */
  output: ResponseWriter
  /** One line for the operator. */
  readonly log: (message: string) => void
}

/** Who asks, and how: what a handler knows besides the request. */
export interface Caller {
  readonly principal: Principal
  readonly advertised: Advertised
}
