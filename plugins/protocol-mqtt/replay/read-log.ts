/** Reading on at one place of a replay, whichever log it is in. */
import type { HistoryRead, HistoryRoom, HistoryVisitor, QueueSelection } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { type Cursor, placeOf } from "./Cursor.ts"
import { QUEUE, readQueue } from "./queue-history.ts"

/** Visits what matches the one filter of `selection`, from the cursor's place on. */
export function readLog(
  { queueLogs, history }: Broker["services"],
  cursor: Cursor,
  selection: QueueSelection,
  room: HistoryRoom,
  visit: HistoryVisitor
): Promise<HistoryRead> {
  const { topic, partition, next } = cursor
  if (topic === QUEUE) return readQueue(queueLogs, partition, next, selection, room, visit)
  return history.read(topic, partition, placeOf(cursor), selection.filters[0] ?? "", room, visit)
}
