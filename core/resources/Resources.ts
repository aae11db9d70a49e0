/**
 * Resources: what an administrator can see and do, declared once by whoever owns it. HTTP routes, API documents, command line
 * verbs and console pages are made from them; nobody who shows a resource knows the plugin behind it.
 *
 * Invariants
 *  - A resource's name is unique and made of plain path segments; it lives as long as the scope that registered it.
 *  - A singleton has `get` and no `list`; a verb's name is unique among those with the same target.
 *  - `list` is paged: it never returns more than `limit` items, and `cursor` goes on exactly where a page ended.
 *  - Input is checked against its schema before `run` is called.
 */
import { Context, Effect, Schema, type Scope } from "effect"
import type { GenericSchema } from "valibot"
import { assert } from "../assert.ts"

const NAME = /^[a-z][a-z0-9-]*(\/[a-z][a-z0-9-]*)*$/
const VERB_NAME = /^[a-z][a-z0-9-]*$/

/** Why an action on a resource did not happen. `code` is stable: scripts rely on it. */
export class ResourceError extends Schema.TaggedError<ResourceError>()("ResourceError", {
  reason: Schema.Literals(["not-found", "invalid", "conflict", "refused", "unavailable"]),
  code: Schema.String,
  message: Schema.String
}) {}

/** Items of a page where the caller names no limit, and at most. */
export const LIST_LIMIT_DEFAULT = 100
export const LIST_LIMIT_MAX = 1_000
/** Longest cursor and filter, in characters. */
export const LIST_CURSOR_LENGTH_MAX = 1_024
export const LIST_FILTER_LENGTH_MAX = 1_024

export interface ListQuery {
  /** 1 to {@link LIST_LIMIT_MAX}. */
  readonly limit: number
  /** Where the last page ended; "" = from the beginning. */
  readonly cursor: string
  /** Substring of the item's id; "" = all. */
  readonly filter: string
}

export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  /** For the next page; undefined = this is the last one. */
  readonly cursor?: string
}

export interface Verb {
  readonly name: string
  readonly description: string
  /** What it acts on; absent = one item. A singleton's verbs act on the singleton, whatever stands here. */
  readonly target?: "item" | "collection"
  /** An object; a request without a body is `{}`. */
  readonly input: GenericSchema
  /** `id` is "" where the verb is the collection's. */
  run(id: string, input: unknown): Effect.Effect<unknown, ResourceError>
}

export interface Resource {
  /** Path below /api/v1: "topics", "cluster/info". */
  readonly name: string
  readonly description: string
  /** One item. */
  readonly schema: GenericSchema
  /** A resource with one item: `get("")` is all it has. */
  readonly singleton?: boolean
  list?(query: ListQuery): Effect.Effect<Page<unknown>, ResourceError>
  get?(id: string): Effect.Effect<unknown, ResourceError>
  readonly verbs?: ReadonlyArray<Verb>
}

export class Resources extends Context.Service<
  Resources,
  {
    register(resource: Resource): Effect.Effect<void, never, Scope.Scope>
    readonly all: () => ReadonlyArray<Resource>
  }
>()("manifold/core/resources/Resources") {}

export function makeResources(): typeof Resources.Service {
  const resources = new Map<string, Resource>()
  return {
    register: (resource) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          check(resource)
          assert(!resources.has(resource.name), `one resource is named "${resource.name}"`)
          resources.set(resource.name, resource)
        }),
        () => Effect.sync(() => resources.delete(resource.name))
      ).pipe(Effect.asVoid),
    all: () => [...resources.values()]
  }
}

/** The declaration of a resource is its owner's code, so a fault in it is a defect. */
function check(resource: Resource): void {
  const { name, verbs = [] } = resource
  assert(NAME.test(name), `the resource's name "${name}" is made of plain path segments`)
  if (resource.singleton === true) {
    assert(resource.get !== undefined && resource.list === undefined, `the singleton "${name}" has get and no list`)
  }
  const known = new Set<string>()
  for (const verb of verbs) {
    assert(VERB_NAME.test(verb.name), `the verb "${verb.name}" of "${name}" is a plain path segment`)
    const key = resource.singleton === true ? verb.name : `${verb.target ?? "item"} ${verb.name}`
    assert(!known.has(key), `one verb of "${name}" is named "${verb.name}"`)
    known.add(key)
  }
}
