/**
 * One resource made of the parts that the shards of a node register: a plugin that runs on every shard tells of what its shard has,
 * and whoever shows the resource sees all of it.
 *
 * Invariants
 *  - An item belongs to one shard, and its id is the same nowhere else: who asks for it asks the shards in turn until one does not
 *    say "not-found".
 *  - A list goes from shard to shard; its cursor is the shard and that shard's own cursor. One that has an order is read whole from all
 *    shards and put into it; its cursor is a place in it.
 *  - A verb of the collection is run by the first shard, or by all where it says so: then the first one's answer is told, or the sum of
 *    all where it says that, or a failure.
 */
import { Effect } from "effect"
import { assert } from "../assert.ts"
import {
  LIST_LIMIT_MAX,
  type ListQuery,
  type Page,
  type Resource,
  ResourceError,
  targetOf,
  type Verb
} from "./Resources.ts"

/** The parts by shard. Read at every call, since shards come and go one by one. */
export type Parts = ReadonlyMap<number, Resource>

/** The resource that stands for all parts; it is called what `first` is called. */
export function gatherShards(first: Resource, parts: Parts): Resource {
  if (first.singleton === true) return first
  const { list, get, verbs } = first
  return {
    name: first.name,
    description: first.description,
    schema: first.schema,
    ...(first.plural === undefined ? {} : { plural: first.plural }),
    ...(first.idMember === undefined ? {} : { idMember: first.idMember }),
    ...(first.order === undefined ? {} : { order: first.order }),
    ...(list === undefined ? {} : { list: (query: ListQuery) => listOf(first, parts, query) }),
    ...(get === undefined ? {} : { get: (id: string) => askInTurn(inOrder(parts), id, (part) => part.get?.(id)) }),
    ...(verbs === undefined ? {} : { verbs: verbs.map((verb) => gatherVerb(verb, parts)) })
  }
}

function gatherVerb(verb: Verb, parts: Parts): Verb {
  const target = targetOf(verb)
  return {
    ...verb,
    run: (id, input) => {
      const ask = (part: Resource) =>
        part.verbs?.find((each) => each.name === verb.name && targetOf(each) === target)?.run(id, input)
      if (target === "item") return askInTurn(inOrder(parts), id, ask)
      if (verb.isEverywhere !== true) return askInTurn(inOrder(parts).slice(0, 1), id, ask)
      const all = inOrder(parts).map((part) => ask(part) ?? Effect.void)
      return Effect.all(all, { concurrency: "unbounded" }).pipe(
        Effect.map((answers) => (verb.isSummed === true ? sumOf(verb, answers) : answers[0]))
      )
    }
  }
}

/** Objects of numbers added up; one that is none is its owner's fault. */
function sumOf({ name }: Verb, answers: ReadonlyArray<unknown>): Readonly<Record<string, number>> {
  const sums = new Map<string, number>()
  for (const answer of answers) {
    assert(typeof answer === "object" && answer !== null, `the verb "${name}" answers with an object`)
    for (const [member, value] of Object.entries(answer)) {
      assert(typeof value === "number", `the verb "${name}" answers with numbers`)
      sums.set(member, (sums.get(member) ?? 0) + value)
    }
  }
  return Object.fromEntries(sums)
}

function inOrder(parts: Parts): ReadonlyArray<Resource> {
  return [...parts].toSorted(([one], [other]) => one - other).map(([, part]) => part)
}

/** The answer of the first part that does not say that it has no such item. */
function askInTurn(
  parts: ReadonlyArray<Resource>,
  id: string,
  ask: (part: Resource) => Effect.Effect<unknown, ResourceError> | undefined
): Effect.Effect<unknown, ResourceError> {
  const [part, ...others] = parts
  if (part === undefined) return Effect.fail(gone(id))
  const answer = ask(part) ?? Effect.fail(gone(id))
  if (others.length === 0) return answer
  return answer.pipe(
    Effect.catch((error) => (error.reason === "not-found" ? askInTurn(others, id, ask) : Effect.fail(error)))
  )
}

function gone(id: string): ResourceError {
  return new ResourceError({ reason: "not-found", code: "not-found", message: `there is no ${JSON.stringify(id)}` })
}

function listOf(first: Resource, parts: Parts, query: ListQuery): Effect.Effect<Page<unknown>, ResourceError> {
  return first.order === undefined
    ? listAll(first.name, parts, query)
    : listInOrder(first.name, first.order, parts, query)
}

/** A page of what all shards have, in an order that goes over all of it. */
function listInOrder(
  name: string,
  { member, isDescending }: NonNullable<Resource["order"]>,
  parts: Parts,
  query: ListQuery
): Effect.Effect<Page<unknown>, ResourceError> {
  return Effect.gen(function* () {
    if (!/^\d{0,9}$/.test(query.cursor)) return yield* invalidCursor(name, query)
    const all: Array<unknown> = []
    for (const part of inOrder(parts)) {
      let cursor: string | undefined = ""
      while (cursor !== undefined) {
        const page: Page<unknown> = (yield* part.list?.({ ...query, limit: LIST_LIMIT_MAX, cursor }) ??
          Effect.succeed({ items: [] })) ?? { items: [] }
        all.push(...page.items)
        cursor = page.cursor
      }
    }
    const ranked = (item: unknown): number => Number((item as Readonly<Record<string, unknown>>)[member])
    const sorted = all.toSorted((one, other) => (ranked(one) - ranked(other)) * (isDescending ? -1 : 1))
    const end = Number(query.cursor) + query.limit
    const items = sorted.slice(Number(query.cursor), end)
    return sorted.length > end ? { items, cursor: String(end) } : { items }
  })
}

function invalidCursor(name: string, { cursor }: ListQuery): ResourceError {
  const message = `${JSON.stringify(cursor.slice(0, 80))} is no cursor of a list of ${name}`
  return new ResourceError({ reason: "invalid", code: "invalid-cursor", message })
}

/** A page that begins where `query.cursor` says and takes from as many shards as it needs. */
function listAll(name: string, parts: Parts, query: ListQuery): Effect.Effect<Page<unknown>, ResourceError> {
  return Effect.gen(function* () {
    const [, from = "0", cursor = ""] = /^(\d{1,5}):(.*)$/s.exec(query.cursor) ?? []
    if (query.cursor !== "" && !query.cursor.startsWith(`${from}:`)) {
      return yield* invalidCursor(name, query)
    }
    const items: Array<unknown> = []
    for (const shard of [...parts.keys()].toSorted((one, other) => one - other)) {
      if (shard < Number(from)) continue
      const own = shard === Number(from) ? cursor : ""
      if (items.length === query.limit) return { items, cursor: `${shard}:${own}` }
      const wanted = { ...query, limit: query.limit - items.length, cursor: own }
      const page: Page<unknown> = (yield* parts.get(shard)?.list?.(wanted) ?? Effect.succeed({ items: [] })) ?? {
        items: []
      }
      items.push(...page.items)
      if (page.cursor !== undefined) return { items, cursor: `${shard}:${page.cursor}` }
    }
    return { items }
  })
}
