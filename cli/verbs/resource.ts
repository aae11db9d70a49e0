/**
 * `manifold <resource> list | get | VERB`: what a running broker has and can do, by its own description of itself. The command knows
 * no resource: what a plugin adds is there as soon as the plugin runs.
 *
 * Its grammar is not in the command's table, so its words are read here (resource/words.ts), and what the broker does not know either
 * is an unknown verb. Exit codes are those of command.ts.
 */
import * as v from "valibot"
import { nearestOf } from "../../core/config/mod.ts"
import { UsageError, unknownWord, type VerbForm } from "../arguments.ts"
import { note, say } from "../output.ts"
import { CallFailed, Client, plainText, Unreachable } from "../resource/client.ts"
import {
  type Description,
  describe,
  type JsonSchema,
  type VerbDescription,
  verbNames
} from "../resource/description.ts"
import { itemLines, tableLines } from "../resource/table.ts"
import { type CallWords, flagOf, readCall, readInput } from "../resource/words.ts"

/** Items of a list where nobody says how many; and of one page. */
const LIMIT_DEFAULT = 100
const PAGE_LIMIT_MAX = 1_000

const NO_INPUT: JsonSchema = { properties: {} }
const LIST_INPUT: JsonSchema = { properties: { filter: { type: "string" }, limit: { type: "integer" } } }
const METHODS = { act: "POST", create: "POST", alter: "PATCH", delete: "DELETE" } as const

/** Does what `words` say to a resource; `forms` is the command's own table, which an unknown first word may be meant for. */
export async function runResource(words: ReadonlyArray<string>, forms: ReadonlyArray<VerbForm>): Promise<number> {
  const verbs = forms.map(({ name }) => name)
  const call = readCall(words, process.env["MANIFOLD_URL"])
  const client = new Client(call.url)
  const resources = await describeOrGuess(client, call, verbs)
  const resource = resources.find(({ name, path }) => name === call.resource || path === call.resource)
  if (resource === undefined) {
    throw new UsageError(unknownWord("verb", call.resource, [...verbs, ...resources.map(({ name }) => name)]))
  }
  if (call.isHelp) return help(resource)
  const { name } = resource
  const known = verbNames(resource)
  if (call.verb === undefined || !known.includes(call.verb)) {
    throw new UsageError(unknownWord(`verb of ${name}`, call.verb ?? "", known))
  }
  const own = resource.verbs.filter((verb) => verb.name === call.verb)
  if (own.length > 0) return await act(client, call, resource, own)
  return call.verb === "list" ? await list(client, call, resource) : await get(client, call, resource)
}

/** Without a broker it cannot be known what a word means: what looks like a slip of the hand is one. */
async function describeOrGuess(
  client: Client,
  { resource, verb }: CallWords,
  verbs: ReadonlyArray<string>
): Promise<ReadonlyArray<Description>> {
  try {
    return await describe(client)
  } catch (error) {
    const isSlip = verb === undefined || nearestOf(resource, verbs) !== undefined
    if (!(error instanceof Unreachable && isSlip)) throw error
    throw new UsageError(`${unknownWord("verb", resource, verbs)}; no broker answers at ${client.url} that may know it`)
  }
}

async function list(client: Client, call: CallWords, resource: Description): Promise<number> {
  const { ids, input } = readInput(call.rest, LIST_INPUT, `${resource.name} list`)
  if (ids.length > 0) throw new UsageError(`${resource.name} list takes no id; --filter ${ids[0]} lists what holds it`)
  const { filter, limit } = v.parse(
    v.object({ filter: v.optional(v.string(), ""), limit: v.optional(v.number()) }),
    input
  )
  if (limit !== undefined && limit < 1) throw new UsageError(`--limit is ${limit}; expected 1 or more`)
  const wanted = limit ?? LIMIT_DEFAULT
  const items: Array<unknown> = []
  let cursor: string | undefined = ""
  while (cursor !== undefined && items.length < wanted) {
    const query = new URLSearchParams({
      limit: String(Math.min(wanted - items.length, PAGE_LIMIT_MAX)),
      cursor,
      filter
    })
    const answer = await client.call("GET", `${resource.path}?${query}`)
    const page = v.safeParse(v.object({ items: v.array(v.unknown()), cursor: v.optional(v.string()) }), answer)
    if (!page.success) throw new CallFailed(`what answers at ${client.url} sent no page of ${resource.name}`)
    items.push(...page.output.items)
    cursor = page.output.cursor
  }
  const lines = call.output === "json" ? [json(items)] : tableLines(items, resource.item)
  say(lines.join("\n"))
  if (cursor !== undefined) note(`the first ${items.length}; there are more: --limit N shows them, --filter X picks`)
  return 0
}

async function get(client: Client, call: CallWords, resource: Description): Promise<number> {
  const { ids } = readInput(call.rest, NO_INPUT, `${resource.name} get`)
  tell(call, await client.call("GET", pathOf(resource, "get", resource.singleton ? "singleton" : "item", ids)))
  return 0
}

/** A verb of the broker's; of two with one name the one is meant that the words fit. */
async function act(
  client: Client,
  call: CallWords,
  resource: Description,
  candidates: ReadonlyArray<VerbDescription>
): Promise<number> {
  let fault: unknown
  for (const verb of candidates) {
    try {
      const { ids, input } = readInput(call.rest, verb.input, `${resource.name} ${verb.name}`)
      const path = pathOf(resource, verb.name, verb.target, ids)
      const action = verb.kind === "act" ? `${path}/${verb.name}` : path
      const answer = await client.call(METHODS[verb.kind], action, input)
      if (answer !== undefined) tell(call, answer)
      else if (call.output === "table") say(plainText([resource.name, verb.name, ...ids, "done"].join(" ")))
      return 0
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      fault ??= error
    }
  }
  throw fault
}

/** Where one item, or the collection, lies; checks that as many ids were typed as that takes. */
function pathOf(
  resource: Description,
  verb: string,
  target: VerbDescription["target"],
  ids: ReadonlyArray<string>
): string {
  const [id, ...more] = ids
  if (target !== "item") {
    if (id !== undefined) throw new UsageError(`${resource.name} ${verb} takes no id; found ${JSON.stringify(id)}`)
    return resource.path
  }
  if (id === undefined)
    throw new UsageError(`${resource.name} ${verb} needs an id: manifold ${resource.name} ${verb} ID`)
  if (more.length > 0)
    throw new UsageError(`${resource.name} ${verb} takes one id; found ${JSON.stringify(more[0])} too`)
  // As a part of a path these are no names: another place would be meant.
  if (id === "" || id === "." || id === "..") {
    throw new UsageError(`${resource.name} ${verb} needs an id that a path can hold; found ${JSON.stringify(id)}`)
  }
  return `${resource.path}/${encodeURIComponent(id)}`
}

function tell(call: CallWords, value: unknown): void {
  say(call.output === "json" ? json(value) : itemLines(value).join("\n"))
}

/** One JSON value; the control characters that JSON lets stand are escaped too. */
function json(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2) ?? "null"
  return text.replace(/[\u007f-\u009f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
}

function help({ name, description, singleton, list: lists, get: gets, verbs }: Description): number {
  const id = singleton ? "" : " ID"
  const rows = verbs.map((verb) => {
    const required = new Set(verb.input.required ?? [])
    const flags = Object.keys(verb.input.properties ?? {}).map((key) => {
      const flag = `${flagOf(key)} ${key.toUpperCase()}`
      return required.has(key) ? flag : `[${flag}]`
    })
    const words = [`manifold ${name} ${verb.name}${verb.target === "item" ? " ID" : ""}`, ...flags].join(" ")
    return `  ${words}\n      ${verb.description}`
  })
  const fixed = [
    ...(lists ? [`  manifold ${name} list [--filter X] [--limit N]`] : []),
    ...(gets ? [`  manifold ${name} get${id}`] : [])
  ]
  const lines = [
    `${name}: ${description}`,
    "",
    ...fixed,
    ...rows,
    "",
    "  [--url http://host:port] [--output table|json]"
  ]
  say(lines.map((line) => line.split("\n").map(plainText).join("\n")).join("\n"))
  return 0
}
