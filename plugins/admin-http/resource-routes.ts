/**
 * Routes made from resources: which resource and action a path names, and what is sent back. Knows no resource by name.
 *
 *   GET    /api/v1/<resource>              the singleton, or a page of the list (?limit &cursor &filter)
 *   POST   /api/v1/<resource>              the verb that creates
 *   PATCH  /api/v1/<resource>              the verb that alters, of a singleton
 *   GET    /api/v1/<resource>/<id>         one item
 *   PATCH  /api/v1/<resource>/<id>         the verb that alters
 *   DELETE /api/v1/<resource>/<id>         the verb that deletes
 *   POST   /api/v1/<resource>/<verb>       any other verb of the collection or of the singleton
 *   POST   /api/v1/<resource>/<id>/<verb>  any other verb of one item
 *
 * Invariants
 *  - The resource with the longest name that fits is meant; resources are looked up at every request, so that one that a plugin
 *    registers later is there at once.
 *  - Input is checked against the verb's schema before `run` is called.
 */
import { Effect } from "effect"
import * as v from "valibot"
import {
  LIST_CURSOR_LENGTH_MAX,
  LIST_FILTER_LENGTH_MAX,
  LIST_LIMIT_DEFAULT,
  LIST_LIMIT_MAX,
  type ListQuery,
  type Page,
  pathOf,
  type Resource,
  type ResourceError,
  targetOf,
  type Verb,
  type VerbKind
} from "../../core/mod.ts"
import { readJson } from "./json-body.ts"
import { Problem, quote } from "./problems.ts"
import { parseQuery, type Segment } from "./request-target.ts"

/** Faults of the input that one answer names. */
const FAULTS_MAX = 20

/** What came of an action. */
export interface Outcome {
  /** Undefined where there is nothing to say. */
  readonly value: unknown
  readonly isCreated: boolean
  /** Path below /api/v1 of what was created; absent where its id is not known. */
  readonly location?: string
}

/** One thing that can be done at a path. */
export type Action = (request: Request, body: BodyLimits) => Promise<Effect.Effect<Outcome, ResourceError>>

/** How long and how much of a body is read. */
export interface BodyLimits {
  readonly bytesMax: number
  readonly signal: AbortSignal
}

/** What can be done at the path below /api/v1, by method; undefined where nothing can. */
export function actionsAt(
  resources: ReadonlyArray<Resource>,
  segments: ReadonlyArray<Segment>
): ReadonlyMap<string, Action> | undefined {
  const resource = longestMatch(resources, segments)
  if (resource === undefined) return undefined
  const rest = segments.slice(pathOf(resource).split("/").length)
  const actions = actionsOf(resource, rest)
  return actions.size === 0 ? undefined : actions
}

function longestMatch(resources: ReadonlyArray<Resource>, segments: ReadonlyArray<Segment>): Resource | undefined {
  let best: Resource | undefined
  for (const resource of resources) {
    const names = pathOf(resource).split("/")
    if (!names.every((name, index) => segments[index]?.raw === name)) continue
    if (best === undefined || names.length > pathOf(best).split("/").length) best = resource
  }
  return best
}

function actionsOf(resource: Resource, rest: ReadonlyArray<Segment>): ReadonlyMap<string, Action> {
  const actions = new Map<string, Action>()
  const [first, second] = rest
  const isSingleton = resource.singleton === true
  const addKind = (method: string, kind: VerbKind, id: string): void => {
    const verb = resource.verbs?.find((each) => each.kind === kind)
    if (verb !== undefined) actions.set(method, verbAction(resource, verb, id))
  }
  const addNamed = (verb: Verb | undefined, id: string): void => {
    if (verb !== undefined) actions.set("POST", verbAction(resource, verb, id))
  }
  if (first === undefined) {
    if (isSingleton && resource.get !== undefined) actions.set("GET", getAction(resource, ""))
    if (!isSingleton && resource.list !== undefined) actions.set("GET", listAction(resource))
    if (isSingleton) addKind("PATCH", "alter", "")
    else addKind("POST", "create", "")
    return actions
  }
  if (second === undefined) {
    if (!isSingleton && resource.get !== undefined) actions.set("GET", getAction(resource, first.decoded))
    addNamed(findVerb(resource, first, isSingleton ? undefined : "collection"), "")
    if (isSingleton) return actions
    addKind("PATCH", "alter", first.decoded)
    addKind("DELETE", "delete", first.decoded)
    return actions
  }
  if (rest.length === 2 && !isSingleton) addNamed(findVerb(resource, second, "item"), first.decoded)
  return actions
}

/** A verb that is known by its name alone; the others have methods of their own. */
function findVerb(resource: Resource, segment: Segment, target: Verb["target"]): Verb | undefined {
  return resource.verbs?.find(
    (verb) =>
      verb.name === segment.raw && (verb.kind ?? "act") === "act" && (target === undefined || targetOf(verb) === target)
  )
}

function getAction(resource: Resource, id: string): Action {
  return async (request) => {
    parseQuery(request.url, [])
    if (resource.get === undefined) throw new Error("an action is made for what there is")
    return resource.get(id).pipe(Effect.map(found))
  }
}

function listAction(resource: Resource): Action {
  return async (request) => {
    const query = listQuery(request.url)
    if (resource.list === undefined) throw new Error("an action is made for what there is")
    return resource.list(query).pipe(Effect.map((page) => found(checkPage(page, query.limit))))
  }
}

function verbAction(resource: Resource, verb: Verb, id: string): Action {
  return async (request, body) => {
    parseQuery(request.url, [])
    const input = await readJson(request, body.bytesMax, body.signal)
    // An object schema takes an array for an object without keys.
    if (typeof input !== "object" || input === null || Array.isArray(input)) throw notAnObject()
    const parsed = v.safeParse(verb.input, input)
    if (!parsed.success) throw invalid(parsed.issues)
    const outcome = verb.run(id, parsed.output)
    return outcome.pipe(Effect.map(verb.kind === "create" ? (item) => created(resource, item) : found))
  }
}

function found(value: unknown): Outcome {
  return { value, isCreated: false }
}

function created(resource: Resource, item: unknown): Outcome {
  const id = memberOf(item, resource.idMember)
  const outcome = { value: item, isCreated: true }
  if (typeof id !== "string") return outcome
  return { ...outcome, location: `${pathOf(resource)}/${encodeURIComponent(id.toWellFormed())}` }
}

function memberOf(item: unknown, member: string | undefined): unknown {
  if (typeof item !== "object" || item === null || member === undefined) return undefined
  return Object.entries(item).find(([name]) => name === member)?.[1]
}

/** The page as it is sent; an owner that returns more than it was asked for is at fault. */
function checkPage(page: Page<unknown>, limit: number): Page<unknown> {
  if (page.items.length > limit)
    throw new Error(`a list returned ${page.items.length} items where ${limit} were asked for`)
  return page
}

function listQuery(url: string): ListQuery {
  const values = parseQuery(url, ["limit", "cursor", "filter"])
  const given = values.get("limit")
  const limit = given === undefined ? LIST_LIMIT_DEFAULT : /^\d{1,9}$/.test(given) ? Number(given) : 0
  if (limit < 1 || limit > LIST_LIMIT_MAX) {
    throw badValue("limit", `limit is ${quote(given ?? "")}; allowed: 1 to ${LIST_LIMIT_MAX}`)
  }
  const cursor = values.get("cursor") ?? ""
  const filter = values.get("filter") ?? ""
  if (cursor.length > LIST_CURSOR_LENGTH_MAX) throw badValue("cursor", "cursor is not one that a page ended with")
  if (filter.length > LIST_FILTER_LENGTH_MAX) {
    throw badValue("filter", `filter is longer than ${LIST_FILTER_LENGTH_MAX} characters`)
  }
  return { limit, cursor, filter }
}

function badValue(key: string, detail: string): Problem {
  return new Problem("invalid-query-value", detail, { members: { key } })
}

function notAnObject(): Problem {
  const detail = "expected an object"
  return new Problem("invalid", `the body: ${detail}`, { members: { errors: [{ pointer: "", detail }] } })
}

function invalid(issues: ReadonlyArray<v.BaseIssue<unknown>>): Problem {
  const errors = issues
    .slice(0, FAULTS_MAX)
    .map((issue) => ({ pointer: pointerOf(issue), detail: issue.message.slice(0, 200) }))
  const first = errors[0]
  const detail = first === undefined ? "the input does not fit" : `${first.pointer || "the body"}: ${first.detail}`
  return new Problem("invalid", detail, { members: { errors } })
}

/** Where in the body the fault is, as a JSON Pointer (RFC 6901); "" = the body itself. */
function pointerOf(issue: v.BaseIssue<unknown>): string {
  const keys = issue.path?.map((item) => String(item.key)) ?? []
  return keys.map((key) => `/${key.slice(0, 100).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
}
