/**
 * How much may wait for one durable session: by count and bytes, with the oldest or the newest dropped where it is more.
 *
 * Nothing is kept per message that waits, so the bounds are applied where a session begins to read: what is dropped is passed over. What
 * is older than the bound of age is passed over as it is read.
 */
import type { QueueCount, QueueLogsShape, QueueSelection } from "../../core/mod.ts"

export interface Bounds {
  readonly messagesMax: number
  readonly bytesMax: number
}

/** Where a session may read, of one queue log: from `from` on, but nothing from `skipFrom` up to `skipTo`. */
export interface Allowed {
  readonly from: number
  readonly skipFrom: number
  readonly skipTo: number
  /** Messages that are passed over. */
  readonly dropped: number
}

interface Counted {
  readonly messages: number
  readonly bytes: number
  readonly next: number
}

/** Works out what a session may read of what waits from `position` on; `done` is called in place where all is in memory. */
export function applyBounds(
  queueLogs: QueueLogsShape,
  log: number,
  position: number,
  selection: QueueSelection,
  bounds: Bounds,
  overflow: "oldest" | "newest",
  done: (allowed: Allowed) => void
): void {
  const all = { from: position, skipFrom: 0, skipTo: 0, dropped: 0 }
  queueLogs.countWaiting(log, position, selection, 0, {
    // Where all that the log holds may wait nothing is counted: to count what has left memory is to read all of it once more.
    received: ({ logMessages, logBytes }) => {
      if (logMessages <= bounds.messagesMax && logBytes <= bounds.bytesMax) done(all)
      else passOver(queueLogs, log, position, selection, bounds, overflow, done)
    },
    failed: () => done(all)
  })
}

/** The same by counting what waits. */
function passOver(
  queueLogs: QueueLogsShape,
  log: number,
  position: number,
  selection: QueueSelection,
  bounds: Bounds,
  overflow: "oldest" | "newest",
  done: (allowed: Allowed) => void
): void {
  const all = { from: position, skipFrom: 0, skipTo: 0, dropped: 0 }
  const count = (from: number, messagesMax: number, counted: (result: Counted) => void): void =>
    countUpTo(queueLogs, log, from, selection, messagesMax, counted, () => done(all))
  count(position, Number.MAX_SAFE_INTEGER, (total) => {
    if (total.messages <= bounds.messagesMax && total.bytes <= bounds.bytesMax) {
      done(all)
      return
    }
    // A share of the bytes is about the same share of the messages; what is left over the bound after a step is stepped over again.
    const step = (from: number, dropped: number, left: Counted): void => {
      const byCount = left.messages - bounds.messagesMax
      const byBytes = Math.ceil((left.messages * (left.bytes - bounds.bytesMax)) / Math.max(1, left.bytes))
      const excess = Math.min(left.messages, Math.max(byCount, byBytes))
      if (excess <= 0) {
        done({ from, skipFrom: 0, skipTo: 0, dropped })
        return
      }
      count(from, excess, (passed) => {
        // What was counted has gone meanwhile: the bounds of the log itself have seen to it.
        if (passed.messages === 0) {
          done({ from: Math.max(from, passed.next), skipFrom: 0, skipTo: 0, dropped })
          return
        }
        const rest = { messages: left.messages - passed.messages, bytes: left.bytes - passed.bytes, next: left.next }
        step(passed.next, dropped + passed.messages, rest)
      })
    }
    if (overflow === "oldest") {
      step(position, 0, total)
      return
    }
    const keep = (kept: number): void =>
      count(position, kept, (stays) => {
        // The oldest are larger than the average: fewer of them fit.
        if (stays.bytes > bounds.bytesMax && kept > 0) {
          keep(Math.min(kept - 1, Math.floor((stays.messages * bounds.bytesMax) / stays.bytes)))
          return
        }
        done({ from: position, skipFrom: stays.next, skipTo: total.next, dropped: total.messages - stays.messages })
      })
    keep(Math.min(bounds.messagesMax, Math.floor((total.messages * bounds.bytesMax) / Math.max(1, total.bytes))))
  })
}

/** Counts on until `messagesMax`, however often the log stops on the way. */
function countUpTo(
  queueLogs: QueueLogsShape,
  log: number,
  from: number,
  selection: QueueSelection,
  messagesMax: number,
  counted: (result: Counted) => void,
  failed: () => void
): void {
  let messages = 0
  let bytes = 0
  const goOn = (position: number): void => {
    queueLogs.countWaiting(log, position, selection, messagesMax - messages, {
      received: (result: QueueCount) => {
        messages += result.messages
        bytes += result.bytes
        if (result.isAtEnd || messages >= messagesMax || result.next <= position) {
          counted({ messages, bytes, next: result.next })
        } else goOn(result.next)
      },
      failed
    })
  }
  goOn(from)
}
