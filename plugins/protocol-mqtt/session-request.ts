/** What a CONNECT asks of the sessions of its shard, and what comes of it. */
import type { Connection } from "./Connection.ts"
import type { Session } from "./Session.ts"
import type { ConnectPacket } from "./wire/connect.ts"

/** What came of a CONNECT. */
export interface Opened {
  readonly session: Session
  /** The session was there before. */
  readonly present: boolean
  /** The journal's ticket to wait for; 0 = none. */
  readonly ticket: number
}

export interface Request {
  readonly connection: Connection
  readonly connect: ConnectPacket
  readonly clientIdentifier: string
  readonly tenant: number
  /** Told once: what was opened, or undefined where no more sessions fit, or the rows cannot be read. */
  readonly opened: (opened: Opened | undefined) => void
}
