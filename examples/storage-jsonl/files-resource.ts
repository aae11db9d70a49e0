/** What an administrator sees of the engine: `GET /api/v1/jsonl-files`, one item for each open partition. */
import { Effect } from "effect"
import { type Resource, ResourceError } from "manifold"
import * as v from "valibot"
import type { JsonlEngine } from "./engine.ts"
import type { JsonlPartition } from "./JsonlPartition.ts"

const item = v.object({
  /** `<tenant>.<topic id>-<partition>` */
  id: v.string(),
  file: v.string(),
  /** Of the file, forgotten lines among them; and of the lines that are not forgotten. */
  fileBytes: v.number(),
  sizeBytes: v.number(),
  logStartOffset: v.number(),
  highWatermark: v.number(),
  logEndOffset: v.number(),
  leaderEpoch: v.number()
})

export function filesResource(engine: JsonlEngine): Resource {
  return {
    name: "jsonl-file",
    plural: "jsonl-files",
    description: "Partitions of the engine jsonl: the file of each, its bytes and offsets",
    schema: item,
    idMember: "id",
    list: ({ limit, cursor, filter }) =>
      Effect.sync(() => {
        const ids = [...engine.partitions().keys()].map(idOf).sort()
        const wanted = ids.filter((id) => id > cursor && id.includes(filter))
        const items = wanted.slice(0, limit).flatMap((id) => itemOf(engine, id) ?? [])
        const last = items.at(-1)
        return wanted.length > limit && last !== undefined ? { items, cursor: last.id } : { items }
      }),
    get: (id) => {
      const found = itemOf(engine, id)
      if (found !== undefined) return Effect.succeed(found)
      const message = `no open partition of the engine jsonl is called "${id}"`
      return Effect.fail(new ResourceError({ reason: "not-found", code: "unknown_jsonl_file", message }))
    }
  }
}

/** A name without a slash, which has a meaning in paths. */
function idOf(name: string): string {
  return name.replace("/", ".")
}

function itemOf(engine: JsonlEngine, id: string): v.InferOutput<typeof item> | undefined {
  const partition: JsonlPartition | undefined = engine.partitions().get(id.replace(".", "/"))
  if (partition === undefined) return undefined
  const { pathname: file, fileBytes, sizeBytes, logStartOffset, highWatermark, logEndOffset, leaderEpoch } = partition
  return { id, file, fileBytes, sizeBytes, logStartOffset, highWatermark, logEndOffset, leaderEpoch }
}
