/**
 * `resource`: the resources themselves, so that a client that knows none of them (the command line, a console) can show and use
 * them all.
 *
 * Schemas are told as JSON Schema (draft 2020-12); what that cannot express is left out of it, and checked all the same. What
 * translates them is loaded when somebody first asks.
 */
import { Effect } from "effect"
import * as v from "valibot"
import { pathOf, type Resource, ResourceError, type Resources, targetOf } from "./Resources.ts"

const jsonSchema = v.record(v.string(), v.unknown())

const schema = v.strictObject({
  name: v.string(),
  /** Below /api/v1. */
  path: v.string(),
  description: v.string(),
  singleton: v.boolean(),
  list: v.boolean(),
  get: v.boolean(),
  verbs: v.array(
    v.strictObject({
      name: v.string(),
      description: v.string(),
      kind: v.picklist(["act", "create", "alter", "delete"]),
      target: v.picklist(["item", "collection", "singleton"]),
      input: jsonSchema
    })
  ),
  item: jsonSchema
})

type Described = v.InferOutput<typeof schema>

/** A schema that is told once more is not translated once more. */
const translated = {
  input: new WeakMap<v.GenericSchema, Record<string, unknown>>(),
  output: new WeakMap<v.GenericSchema, Record<string, unknown>>()
}

export function resourceList(resources: Pick<typeof Resources.Service, "all">): Resource {
  return {
    name: "resource",
    plural: "resources",
    description: "What can be listed, read and done here",
    schema,
    idMember: "name",
    list: ({ limit, cursor, filter }) =>
      Effect.promise(async () => {
        const found = resources
          .all()
          .filter(({ name }) => name > cursor && name.includes(filter))
          .toSorted((one, other) => (one.name < other.name ? -1 : 1))
        const items = await Promise.all(found.slice(0, limit).map(describe))
        const last = items.at(-1)
        return found.length > items.length && last !== undefined ? { items, cursor: last.name } : { items }
      }),
    get: (id) => {
      const found = resources.all().find(({ name }) => name === id)
      if (found !== undefined) return Effect.promise(() => describe(found))
      const message = `there is no resource ${JSON.stringify(id)}`
      return Effect.fail(new ResourceError({ reason: "not-found", code: "resource-not-found", message }))
    }
  }
}

async function describe(resource: Resource): Promise<Described> {
  const isSingleton = resource.singleton === true
  const verbs = (resource.verbs ?? []).map(async (verb) => ({
    name: verb.name,
    description: verb.description,
    kind: verb.kind ?? "act",
    target: isSingleton ? ("singleton" as const) : targetOf(verb),
    input: await translate(verb.input, "input")
  }))
  return {
    name: resource.name,
    path: pathOf(resource),
    description: resource.description,
    singleton: isSingleton,
    list: resource.list !== undefined,
    get: resource.get !== undefined,
    verbs: await Promise.all(verbs),
    item: await translate(resource.schema, "output")
  }
}

async function translate(source: v.GenericSchema, typeMode: keyof typeof translated): Promise<Record<string, unknown>> {
  const known = translated[typeMode].get(source)
  if (known !== undefined) return known
  const { toJsonSchema } = await import("@valibot/to-json-schema")
  let made: Record<string, unknown> = {}
  try {
    made = { ...toJsonSchema(source, { typeMode, errorMode: "ignore", target: "draft-2020-12" }) }
  } catch {
    // What a third party wrote may hold what has no translation at all: then nothing is told of it.
  }
  translated[typeMode].set(source, made)
  return made
}
