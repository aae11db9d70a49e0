/**
 * The rows of delayed messages.
 *
 *   wm number(8)          the message
 *   wt time(8) number(8)  by the time when it is to be published: its tenant, and whether that is later than it was due
 *
 * docs/formats/state.md has them byte by byte.
 */
import type { Publishable } from "../OncePublisher.ts"
import { numberedKey, read, readPublishable, timedKey, writePublishable, written } from "../session-rows.ts"

/** A delayed message. */
export interface DelayedRow extends Publishable {
  /** When it is to be published, ms since 1970. */
  readonly dueAtMs: number
  /** When its publisher sent it, ms since 1970. */
  readonly acceptedAtMs: number
}

export const messageKey = (number: number): Uint8Array => numberedKey("wm", number, 0)

export const dueKey = (atMs: number, number: number): Uint8Array => timedKey("wt", atMs, number)

export function encodeDelayed(row: DelayedRow): Uint8Array {
  return written((writer) => {
    writer.uint53(row.dueAtMs)
    writer.uint53(row.acceptedAtMs)
    writePublishable(writer, row)
  })
}

export function decodeDelayed(value: Uint8Array): DelayedRow {
  const reader = read(value)
  const dueAtMs = reader.uint53()
  const acceptedAtMs = reader.uint53()
  return { dueAtMs, acceptedAtMs, ...readPublishable(reader) }
}

/** What the row by time says. */
export interface TimeRow {
  readonly tenant: number
  /** It could not be stored when it was due: its row has a later time than its message says. */
  readonly isPostponed: boolean
}

export function encodeTime({ tenant, isPostponed }: TimeRow): Uint8Array {
  return written((writer) => {
    writer.uint32(tenant)
    writer.uint8(isPostponed ? 1 : 0)
  })
}

export function decodeTime(value: Uint8Array): TimeRow {
  const reader = read(value)
  return { tenant: reader.uint32(), isPostponed: reader.uint8() === 1 }
}
