/**
 * What the queue logs hold of names that no topic stores, as a replay reads it: beside the partitions of topics, as if each log were one.
 *
 * A queue log keeps a message as long as somebody needs it: history of it is what is there still, and what is wanted from a SUBSCRIBE on.
 */
import {
  type HistoryRead,
  type HistoryRoom,
  type HistoryVisitor,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  type QueueLogsShape,
  type QueueRead,
  type QueueReadLimits,
  type QueueSelection,
  type TopicInfo
} from "../../../core/mod.ts"
import { askEnds } from "../log-ends.ts"
import type { ReplayFrom } from "./replay-from.ts"

/** Stands for the queue logs among topics: its partitions are theirs. */
export const QUEUE: TopicInfo = {
  tenant: 0,
  name: "",
  id: "queue",
  partitions: 0,
  engine: "",
  mode: "persistent",
  origin: "manifest"
}

const NOTHING: QueueSelection = { tenant: 0, filters: ["$"] }
const PAGE: QueueReadLimits = { messagesMax: 256, bytesMax: 262_144 }

function read(
  logs: QueueLogsShape,
  log: number,
  position: number,
  selection: QueueSelection,
  limits: QueueReadLimits
): Promise<QueueRead> {
  return new Promise((received, failed) => {
    logs.read(log, position, selection, limits, false, { received, failed })
  })
}

/** Visits what no topic has of the messages that match, from `offset` on, as {@link HistoryShape.read} does what a topic has, and refuses as that. */
export async function readQueue(
  logs: QueueLogsShape,
  log: number,
  offset: number,
  selection: QueueSelection,
  { messages: messagesMax, bytes: bytesMax }: HistoryRoom,
  visit: HistoryVisitor
): Promise<HistoryRead> {
  let found: QueueRead
  try {
    found = await read(logs, log, offset, selection, { messagesMax, bytesMax })
  } catch {
    const unknown = { logStartOffset: 0, highWatermark: 0, endOffset: 0, incarnation: 0 }
    return { refusal: NOT_AVAILABLE, next: offset, isAtEnd: false, ...unknown }
  }
  // Offsets that were never given, or whose messages nobody wanted, are no gap.
  const { lostTo: logStartOffset, highWatermark, endOffset } = found
  const state = { refusal: 0, logStartOffset, highWatermark, endOffset, incarnation: 0 }
  if (offset < logStartOffset) return { ...state, refusal: OUT_OF_RANGE, next: offset, isAtEnd: false }
  for (const message of found.messages) {
    if (message.partition >= 0) continue
    if (!visit(message.placed(log, message.queueOffset))) {
      return { ...state, next: message.queueOffset, isAtEnd: false }
    }
  }
  return { ...state, next: found.next, isAtEnd: found.isAtEnd || found.next >= highWatermark }
}

/** Where a replay begins in each queue log. An offset is one of a topic's: then it is where they end. */
export async function findQueueStart(
  logs: QueueLogsShape,
  tenant: number,
  filter: string,
  from: ReplayFrom
): Promise<ReadonlyArray<number>> {
  const ends = await new Promise<ReadonlyArray<number>>((done) => askEnds(logs, done))
  if (from.kind === "latest" || from.kind === "offset") return ends
  const starts: Array<number> = []
  for (const [log, end] of ends.entries()) {
    const { startOffset } = await read(logs, log, 0, NOTHING, PAGE)
    const selection = { tenant, filters: [filter] }
    starts.push(
      from.kind === "earliest" ? startOffset : await findTime(logs, log, startOffset, end, selection, from.atMs)
    )
  }
  return starts
}

/** The first message that matches and is not older, or `end`. */
async function findTime(
  logs: QueueLogsShape,
  log: number,
  start: number,
  end: number,
  selection: QueueSelection,
  atMs: number
): Promise<number> {
  for (let position = start; position < end; ) {
    const found = await read(logs, log, position, selection, PAGE)
    const first = found.messages.find(({ timestamp }) => timestamp >= atMs)
    if (first !== undefined) return first.queueOffset
    if (found.isAtEnd || found.next <= position) return end
    position = found.next
  }
  return end
}
