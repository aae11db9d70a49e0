/**
 * What the two sessions of a bridge were made for, as one row in the store of the shard that owns the bridge's client: without it nobody
 * could tell, after a crash, whether the session at the remote was begun for the one that is here.
 *
 * Invariants
 *  - "agreed" is written after the remote began its session anew for ours, and before anything passes; it is taken away before a new
 *    session is begun here, and where the remote has lost its own, before ours is told so.
 */
import { Effect } from "effect"
import * as v from "valibot"
import { BRIDGE_PREFIX, type JournalShape, type KeyValueStoreShape, prefixEnd } from "../../core/mod.ts"
import { LinkError } from "./LinkError.ts"

const row = v.object({
  /** Whose session it is at the remote. */
  remote: v.string(),
  clientId: v.string(),
  isAgreed: v.boolean(),
  /** Filters that were subscribed to, here and there. */
  local: v.array(v.string()),
  /** Those of here whose retained messages were asked for, for that session of the remote. */
  retained: v.array(v.string()),
  there: v.array(v.string()),
  /** The highest QoS that this session of the remote took at any time: messages of QoS 2 may wait there for their PUBREL. */
  qos: v.optional(v.number(), 2)
})

export type Agreed = v.InferOutput<typeof row>

const encoder = new TextEncoder()
const decoder = new TextDecoder()
/** Bridges that a node ever had, at most. */
const NAMES_MAX = 10_000

function keyOf(name: string): Uint8Array {
  return Uint8Array.of(...BRIDGE_PREFIX, ...encoder.encode(name))
}

export class Agreements {
  readonly #journal: Pick<JournalShape, "submit" | "tickets">
  readonly #store: Pick<KeyValueStoreShape, "get" | "range">

  constructor(journal: Pick<JournalShape, "submit" | "tickets">, store: Pick<KeyValueStoreShape, "get" | "range">) {
    this.#journal = journal
    this.#store = store
  }

  /** Undefined = there is none, or none that can be read. */
  read(name: string): Agreed | undefined {
    const value = this.#store.get(keyOf(name))
    if (value === undefined) return undefined
    try {
      const parsed = v.safeParse(row, JSON.parse(decoder.decode(value)))
      return parsed.success ? parsed.output : undefined
    } catch {
      return undefined
    }
  }

  /** Bridges that have a row. */
  names(): ReadonlyArray<string> {
    const rows = this.#store.range(BRIDGE_PREFIX, prefixEnd(BRIDGE_PREFIX), NAMES_MAX)
    return rows.map(({ key }) => decoder.decode(key.subarray(BRIDGE_PREFIX.length)))
  }

  /** Writes the row, or takes it away; settled when that is committed, with false where it was not. */
  write(name: string, agreed: Agreed | undefined): Promise<boolean> {
    const value = agreed === undefined ? undefined : encoder.encode(JSON.stringify(agreed))
    const { tickets } = this.#journal
    const ticket = this.#journal.submit({ writes: [{ key: keyOf(name), value }] })
    return new Promise((resolve) => {
      tickets.whenCommitted(ticket, () => resolve(tickets.failureOf(ticket) >= 0))
    })
  }
}

/** Writes the row, or takes it away; fails where that was not committed. */
export function writeRow(
  agreements: Agreements,
  name: string,
  agreed: Agreed | undefined
): Effect.Effect<void, LinkError> {
  return Effect.promise(() => agreements.write(name, agreed)).pipe(
    Effect.flatMap((isWritten) =>
      isWritten ? Effect.void : Effect.fail(new LinkError({ reason: "this broker can write nothing now" }))
    )
  )
}
