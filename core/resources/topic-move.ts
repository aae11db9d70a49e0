/** `topic-move`: topics that are being moved to another engine or mode, and the last moves that are over, until the node ends. */
import { Effect } from "effect"
import * as v from "valibot"
import type { MoveProgress } from "../topics/TopicMover.ts"
import type { TopicMovesShape } from "../topics/TopicMoves.ts"
import { type Resource, ResourceError } from "./Resources.ts"

const TENANT = 0

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const text = v.string()
const copy = v.strictObject({
  partition: count,
  copied_bytes: v.pipe(count, v.description("bytes that were copied, again too")),
  bytes: v.pipe(count, v.description("bytes of the log in use")),
  lag: v.pipe(v.nullable(count), v.description("records that are not copied; null = nothing is yet"))
})
const schema = v.strictObject({
  topic: text,
  state: v.pipe(
    v.picklist(["copying", "switching", "removing", "done", "failed", "cancelled"]),
    v.description("removing = it is moved, and what it leaves behind is removed")
  ),
  from_engine: text,
  from_mode: text,
  engine: text,
  mode: text,
  copied_bytes: count,
  bytes: count,
  reason: v.pipe(text, v.description("why it failed")),
  partitions: v.array(copy)
})
type Item = v.InferOutput<typeof schema>

/** `topic-moves`: those of any shard. */
export function topicMoveResource(moves: Pick<TopicMovesShape, "all">): Resource {
  const items = moves.all().pipe(
    Effect.map((all) =>
      all
        .filter(({ from }) => from.tenant === TENANT)
        .map(itemOf)
        .toSorted((one, other) => (one.topic < other.topic ? -1 : 1))
    )
  )
  return {
    name: "topic-move",
    plural: "topic-moves",
    description: "Moves of topics to another engine or mode, how far they are, and how the last ones ended",
    schema,
    idMember: "topic",
    list: ({ limit, cursor, filter }) =>
      items.pipe(
        Effect.map((all) => {
          const left = all.filter(({ topic }) => topic > cursor && topic.includes(filter))
          const page = left.slice(0, limit)
          const last = page.at(-1)
          return left.length > limit && last !== undefined ? { items: page, cursor: last.topic } : { items: page }
        })
      ),
    get: (id) =>
      items.pipe(
        Effect.flatMap((all) => {
          // A topic that was made anew under its name may have been moved, too.
          const found = all.findLast(({ topic }) => topic === id)
          if (found !== undefined) return Effect.succeed(found)
          const message = `no move of a topic ${JSON.stringify(id)} is known`
          return Effect.fail(new ResourceError({ reason: "not-found", code: "not-found", message }))
        })
      )
  }
}

function itemOf({ from, to, stage, copies, reason }: MoveProgress): Item {
  const partitions = copies.map(({ partition, copiedBytes, totalBytes, lag }) => ({
    partition,
    copied_bytes: copiedBytes,
    bytes: totalBytes,
    lag: lag < 0 ? null : lag
  }))
  return {
    topic: from.name,
    state: stage,
    from_engine: from.engine,
    from_mode: from.mode,
    engine: to.engine,
    mode: to.mode,
    copied_bytes: partitions.reduce((sum, { copied_bytes }) => sum + copied_bytes, 0),
    bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
    reason,
    partitions
  }
}
