/** What is known of a message in flight from a durable session to its client. */
import type { Message } from "../../core/mod.ts"
import type { Assignment } from "./shared/Memberships.ts"

/** A message in flight. */
export interface Flight {
  readonly sequence: number
  readonly qos: number
  readonly retain: boolean
  readonly identifiers: ReadonlyArray<number>
  /** Where it lies; queue -1 = nowhere but here and in its row. */
  readonly queue: number
  offset: number
  /** Kept where no queue log has it, and until a QoS 2 message is sent first. */
  message: Message | undefined
  /** Of QoS 1, given by a group: it is that one's until it is acknowledged, and no row says anything of it. */
  readonly assignment?: Assignment
}
