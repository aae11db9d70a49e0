/**
 * Moves the places of replays that rest at the ends of their logs: what has been appended and matches nothing of theirs has woken nobody, and they
 * stand where they read last. A place that stays behind would have the queue logs keep what nobody needs, and would be overtaken by retention,
 * which would count as a gap; and whoever comes back would read all of it again.
 *
 * Invariant: a log is asked where it ends before places are moved there: what was appended below that has been told to those who rest.
 */
import type { Broker } from "../Broker.ts"
import { keyOf, type RestingPlace } from "./Cursor.ts"
import { QUEUE } from "./queue-history.ts"

/** Goes on with `queueEnds`, where the queue logs ended a moment ago; partitions are asked for here, each once however many rest there. */
export async function passOn(
  { sessions, services }: Pick<Broker, "sessions" | "services">,
  queueEnds: ReadonlyArray<number>
): Promise<void> {
  const resting = new Map<string, RestingPlace>()
  for (const session of sessions.resident()) session.replays?.resting(resting)
  const ends = new Map(queueEnds.map((end, log) => [keyOf(QUEUE, log), end]))
  for (const [key, { topic, partition }] of resting) {
    const state = services.logs.state(topic, partition)
    // What can be told at once takes no turn of its own.
    const { refusal, highWatermark } = state instanceof Promise ? await state : state
    // What is not committed may be lost, and its offsets given again.
    if (refusal === 0) ends.set(key, highWatermark)
  }
  for (const session of sessions.resident()) session.replays?.passOn(ends)
}
