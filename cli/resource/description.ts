/** What a running broker tells of its resources: the grammar of all verbs that are not in the command's own table. */
import * as v from "valibot"
import { CallFailed, type Client } from "./client.ts"

/** A JSON Schema, as far as it is looked at; what is not known of it is not relied on. */
export interface JsonSchema {
  readonly type?: string | undefined
  readonly enum?: ReadonlyArray<unknown> | undefined
  readonly items?: JsonSchema | undefined
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined
  /** Of the values of a table whose keys are anybody's. */
  readonly additionalProperties?: JsonSchema | undefined
  readonly required?: ReadonlyArray<string> | undefined
  readonly anyOf?: ReadonlyArray<JsonSchema> | undefined
}

const jsonSchema: v.GenericSchema<unknown, JsonSchema> = v.looseObject({
  type: v.fallback(v.optional(v.string()), undefined),
  enum: v.optional(v.array(v.unknown())),
  items: v.fallback(v.optional(v.lazy(() => jsonSchema)), undefined),
  properties: v.optional(
    v.record(
      v.string(),
      v.lazy(() => jsonSchema)
    )
  ),
  additionalProperties: v.fallback(v.optional(v.lazy(() => jsonSchema)), undefined),
  required: v.optional(v.array(v.string())),
  anyOf: v.optional(v.array(v.lazy(() => jsonSchema)))
})

const description = v.looseObject({
  name: v.string(),
  path: v.string(),
  description: v.string(),
  singleton: v.boolean(),
  list: v.boolean(),
  get: v.boolean(),
  item: jsonSchema,
  verbs: v.array(
    v.looseObject({
      name: v.string(),
      description: v.string(),
      kind: v.picklist(["act", "create", "alter", "delete"]),
      target: v.picklist(["item", "collection", "singleton"]),
      input: jsonSchema
    })
  )
})
const page = v.looseObject({ items: v.array(description), cursor: v.optional(v.string()) })

export type Description = v.InferOutput<typeof description>
export type VerbDescription = Description["verbs"][number]

/** More than any broker has. */
const RESOURCES_MAX = 100_000

/** Every resource of the broker. */
export async function describe(client: Client): Promise<ReadonlyArray<Description>> {
  const all: Array<Description> = []
  let cursor = ""
  do {
    const answer = await client.call("GET", `resources?limit=1000&cursor=${encodeURIComponent(cursor)}`)
    const parsed = v.safeParse(page, answer)
    if (!parsed.success) {
      throw new CallFailed(`what answers at ${client.url} does not tell its resources as this version reads them`)
    }
    all.push(...parsed.output.items)
    cursor = parsed.output.cursor ?? ""
    if (all.length > RESOURCES_MAX) throw new CallFailed(`what answers at ${client.url} tells of resources without end`)
  } while (cursor !== "")
  return all
}

/** What can be typed behind the resource's name. */
export function verbNames({ list, get, verbs }: Description): ReadonlyArray<string> {
  return [...new Set([...(list ? ["list"] : []), ...(get ? ["get"] : []), ...verbs.map(({ name }) => name)])]
}
