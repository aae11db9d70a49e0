/**
 * What waits for a session and is not in flight to it: messages, bytes, and since when. The twin of a consumer's lag.
 *
 * Counted when it is asked for: nothing is kept per message that waits.
 */
import type { QueueCount, QueueLogsShape, QueueRead, QueueSelection } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { DurableSession } from "../DurableSession.ts"
import type { Unread } from "../Feed.ts"
import * as rows from "../session-rows.ts"
import { isShared } from "../shared/Memberships.ts"
import { readPages } from "../stored-sessions.ts"
import type { Listed } from "./SessionDirectory.ts"

export interface Backlog {
  readonly messages: number
  /** As they are held in memory. */
  readonly bytes: number
  /** When the oldest was published, ms since 1970; 0 = nothing waits. */
  readonly oldestAtMs: number
  /** Counting stopped at its bound: there are more. */
  readonly isMore: boolean
}

/** Counts up to about `messagesMax` messages in each queue log. */
export async function backlogOf(broker: Broker, listed: Listed, messagesMax: number): Promise<Backlog> {
  const { session } = listed
  const queue = session?.queue
  let messages = queue?.length ?? 0
  let bytes = queue?.bytes ?? 0
  let oldestAtMs = queue?.oldest?.timestamp ?? 0
  let isMore = false
  const unread = session instanceof DurableSession ? session.feed.unread() : await unreadOfRow(broker, listed)
  for (const { log, position } of unread?.places ?? []) {
    if (unread === undefined || unread.selection.filters.length === 0) break
    const counted = await countFrom(broker.services.queueLogs, log, position, unread.selection, messagesMax)
    messages += counted.messages
    bytes += counted.bytes
    isMore ||= counted.isMore
    if (counted.messages === 0) continue
    const first = await firstFrom(broker.services.queueLogs, log, position, unread.selection)
    if (first !== 0) oldestAtMs = oldestAtMs === 0 ? first : Math.min(first, oldestAtMs)
  }
  return { messages, bytes, oldestAtMs, isMore }
}

/** Of a session that is rows alone. */
async function unreadOfRow({ services }: Broker, { row }: Listed): Promise<Unread | undefined> {
  if (row === undefined) return undefined
  const value = services.store.get(rows.positionsKey(row.number))
  if (value === undefined) return undefined
  const filters: Array<string> = []
  await readPages(services.store, rows.rangeOf("ss", row.number), (page) => {
    for (const each of page) {
      const { filter } = rows.ofSubscriptionKey(each.key)
      const isOther = isShared(filter) || rows.isReplaySubscription(each.value)
      if (!isOther && rows.qosOfSubscription(each.value) > 0) filters.push(filter)
    }
  })
  const places = rows.decodePositions(value).map(({ next: position }, log) => ({ log, position }))
  return { places, selection: { tenant: 0, filters } }
}

async function countFrom(
  queueLogs: QueueLogsShape,
  log: number,
  from: number,
  selection: QueueSelection,
  messagesMax: number
): Promise<{ readonly messages: number; readonly bytes: number; readonly isMore: boolean }> {
  let [messages, bytes, position] = [0, 0, from]
  for (;;) {
    const counted = await new Promise<QueueCount>((received, failed) =>
      queueLogs.countWaiting(log, position, selection, messagesMax - messages, { received, failed })
    )
    messages += counted.messages
    bytes += counted.bytes
    if (counted.isAtEnd) return { messages, bytes, isMore: false }
    if (messages >= messagesMax || counted.next <= position) return { messages, bytes, isMore: true }
    position = counted.next
  }
}

/** When the first message that waits was published; 0 where it has gone meanwhile. */
async function firstFrom(
  queueLogs: QueueLogsShape,
  log: number,
  from: number,
  selection: QueueSelection
): Promise<number> {
  let position = from
  for (;;) {
    const read = await new Promise<QueueRead>((received, failed) =>
      queueLogs.read(log, position, selection, { messagesMax: 1, bytesMax: 1 }, true, { received, failed })
    )
    const [first] = read.messages
    if (first !== undefined) return first.timestamp
    if (read.isAtEnd || read.next <= position) return 0
    position = read.next
  }
}
