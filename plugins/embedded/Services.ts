/** What the parts of the face share: the services of its shard as plain objects, and who the program is. */
import type {
  AccessShape,
  ClockShape,
  IngressShape,
  LogsShape,
  Principal,
  RouterShape,
  TopicsShape,
  TurnShape
} from "../../core/mod.ts"
import type { Counts } from "./Counts.ts"
import type { Dispatcher } from "./Dispatcher.ts"

export interface Services {
  readonly access: AccessShape
  readonly clock: ClockShape
  readonly ingress: IngressShape
  readonly logs: LogsShape
  readonly router: RouterShape
  readonly topics: TopicsShape
  readonly turn: TurnShape
  readonly principal: Principal
  readonly counts: Counts
  readonly dispatcher: Dispatcher
}

/** Something that must let go when the broker closes. */
export interface Closable {
  /** The broker is closed: whoever waits is told. */
  close(): void
}
