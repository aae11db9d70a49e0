/**
 * Resources: what an administrator can see and do, declared once by whoever owns it. HTTP routes, API documents, command line
 * verbs and console pages are made from them; nobody who shows a resource knows the plugin behind it.
 *
 * Invariants
 *  - A resource's name and path are unique and made of plain path segments; it lives as long as the scope that registered it. What a
 *    plugin registers under one name on several shards is one resource (gather-shards.ts says how).
 *  - A singleton has `get` and no `list`; a verb's name is unique among those with the same target, and at most one verb each
 *    creates, alters and deletes.
 *  - `list` is paged: it never returns more than `limit` items, and `cursor` goes on exactly where a page ended.
 *  - Input is checked against its schema before `run` is called.
 */
import { Context, Effect, Schema, type Scope } from "effect"
import type { GenericSchema } from "valibot"
import { assert } from "../assert.ts"
import { gatherShards } from "./gather-shards.ts"

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

/**
 * What a verb does to what it acts on, so that whoever shows it can use the form that is usual there (HTTP: POST to the collection,
 * PATCH and DELETE of an item). "create" returns the new item. Everything else is "act", known by its name alone.
 */
export type VerbKind = "act" | "create" | "alter" | "delete"

export interface Verb {
  readonly name: string
  readonly description: string
  /** Absent = "act". */
  readonly kind?: VerbKind
  /** What it acts on; absent = one item. "create" is the collection's always, a singleton's verbs act on the singleton. */
  readonly target?: "item" | "collection"
  /** Of a verb of the collection: whether every shard that registered the resource runs it; absent = the first one alone. */
  readonly isEverywhere?: boolean
  /** Of one that is run everywhere: answers are objects of numbers, and what is told is their sum, member by member. */
  readonly isSummed?: boolean
  /** An object; a request without a body is `{}`. */
  readonly input: GenericSchema
  /** `id` is "" where the verb is the collection's. */
  run(id: string, input: unknown): Effect.Effect<unknown, ResourceError>
}

export interface Resource {
  /** The word for one item: "topic", "cluster/info". */
  readonly name: string
  /** The word for the collection, which is the path below /api/v1: "topics"; absent = the name. */
  readonly plural?: string
  readonly description: string
  /** One item. */
  readonly schema: GenericSchema
  /** The member of an item that `get` takes as its id; a text. Absent = items do not hold their id. */
  readonly idMember?: string
  /**
   * The order of the items of all shards together, by a member that is a number; absent = shard by shard. For lists that are short: all
   * of them are read for each page.
   */
  readonly order?: { readonly member: string; readonly isDescending: boolean }
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

/** Where the resource lies below /api/v1. */
export function pathOf(resource: Resource): string {
  return resource.plural ?? resource.name
}

/** What the verb acts on; of a singleton's verbs it says nothing. */
export function targetOf(verb: Verb): "item" | "collection" {
  return verb.kind === "create" ? "collection" : (verb.target ?? "item")
}

/** The resources of a node. */
export interface NodeResources {
  readonly register: (typeof Resources.Service)["register"]
  readonly all: (typeof Resources.Service)["all"]
  /** The service as one plugin on one shard sees it. */
  forPlugin(plugin: string, shard: number): typeof Resources.Service
}

/** What one plugin registered under one name, by shard, and what stands for it. */
interface Gathered {
  readonly plugin: string
  readonly parts: Map<number, Resource>
  readonly resource: Resource
}

export function makeResources(): NodeResources {
  const resources = new Set<Resource>()
  const gathered = new Map<string, Gathered>()
  const all = (): ReadonlyArray<Resource> => [...resources]
  const add = (resource: Resource): void => {
    check(resource)
    const { name } = resource
    const path = pathOf(resource)
    for (const other of resources) {
      assert(other.name !== name, `one resource is named "${name}"`)
      assert(pathOf(other) !== path, `one resource lies at "${path}"`)
    }
    resources.add(resource)
  }
  const join = (plugin: string, shard: number, part: Resource): void => {
    const { name } = part
    const known = gathered.get(name)
    if (known?.plugin !== plugin) {
      const parts = new Map([[shard, part]])
      const resource = gatherShards(part, parts)
      add(resource)
      gathered.set(name, { plugin, parts, resource })
      return
    }
    check(part)
    assert(part.singleton !== true, `the singleton "${name}" is registered by one shard`)
    assert(pathOf(part) === pathOf(known.resource), `the resource "${name}" has one path on every shard`)
    assert(!known.parts.has(shard), `a shard registers "${name}" once`)
    known.parts.set(shard, part)
  }
  const leave = (name: string, shard: number): void => {
    const known = gathered.get(name)
    if (known === undefined) return
    known.parts.delete(shard)
    if (known.parts.size > 0) return
    gathered.delete(name)
    resources.delete(known.resource)
  }
  return {
    all,
    register: (resource) =>
      Effect.acquireRelease(
        Effect.sync(() => add(resource)),
        () => Effect.sync(() => resources.delete(resource))
      ).pipe(Effect.asVoid),
    forPlugin: (plugin, shard) => ({
      all,
      register: (part) =>
        Effect.acquireRelease(
          Effect.sync(() => join(plugin, shard, part)),
          () => Effect.sync(() => leave(part.name, shard))
        )
    })
  }
}

/** The declaration of a resource is its owner's code, so a fault in it is a defect. */
function check(resource: Resource): void {
  const { name, verbs = [] } = resource
  const isSingleton = resource.singleton === true
  assert(NAME.test(name), `the resource's name "${name}" is made of plain path segments`)
  assert(NAME.test(pathOf(resource)), `the resource's plural "${pathOf(resource)}" is made of plain path segments`)
  if (isSingleton) {
    assert(resource.get !== undefined && resource.list === undefined, `the singleton "${name}" has get and no list`)
    assert(resource.plural === undefined, `the singleton "${name}" has no plural`)
  }
  const known = new Set<string>()
  for (const verb of verbs) {
    const { kind = "act" } = verb
    assert(VERB_NAME.test(verb.name), `the verb "${verb.name}" of "${name}" is a plain path segment`)
    const key = isSingleton ? verb.name : `${targetOf(verb)} ${verb.name}`
    assert(!known.has(key), `one verb of "${name}" is named "${verb.name}"`)
    known.add(key)
    assert(verb.isSummed !== true || verb.isEverywhere === true, `the verb "${verb.name}" of "${name}" has sums of all`)
    if (kind === "act") continue
    assert(!known.has(`${kind}:`), `one verb of "${name}" is of the kind "${kind}"`)
    known.add(`${kind}:`)
    assert(!isSingleton || kind === "alter", `the singleton "${name}" is neither created nor deleted`)
    const target = kind === "create" ? "collection" : "item"
    assert((verb.target ?? target) === target, `the verb "${verb.name}" of "${name}" acts on what its kind does`)
  }
}
