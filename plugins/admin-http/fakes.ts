/** What the tests of this plugin put in place of the node: a clock that is moved by hand, facts, resources of every shape. */
import { Effect } from "effect"
import * as v from "valibot"
import { type ClockShape, type NodeFacts, type Resource, ResourceError } from "../../core/mod.ts"
import { type App, makeApp } from "./app.ts"
import { options, type Settings } from "./Settings.ts"

export class FakeClock implements ClockShape {
  #nowMs = 0
  /** Tasks that nobody runs but the test. */
  readonly immediates: Array<() => void> = []
  readonly #timers = new Set<{ readonly atMs: number; readonly task: () => void }>()

  /** Timers that have neither fired nor been cancelled. */
  get waiting(): number {
    return this.#timers.size
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, task: () => void) {
    const timer = { atMs: this.#nowMs + delayMs, task }
    this.#timers.add(timer)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  microtask(task: () => void): void {
    this.immediates.push(task)
  }

  immediate(task: () => void): void {
    this.immediates.push(task)
  }

  advance(ms: number): void {
    this.#nowMs += ms
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue
      this.#timers.delete(timer)
      timer.task()
    }
  }
}

export interface Fault {
  readonly incident: string
  readonly path: string
  readonly error: unknown
}

export interface Harness {
  readonly app: App
  readonly clock: FakeClock
  readonly faults: Array<Fault>
  state: ReturnType<(typeof NodeFacts.Service)["state"]>
  /** Sends one request as a client on this machine does. `path` is appended to the origin as it is. */
  send(method: string, path: string, init?: RequestInit): Promise<Response>
}

/** The application over `resources`, with the options as a person writes them. */
export function makeHarness(
  resources: ReadonlyArray<Resource> = [],
  given: v.InferInput<typeof options> = {},
  renderPrometheus: () => string = () => "# HELP a A\n"
): Harness {
  const settings: Settings = v.parse(options, given)
  const clock = new FakeClock()
  const faults: Array<Fault> = []
  const facts: typeof NodeFacts.Service = {
    id: "node-1",
    dataDirectory: "data",
    version: "0.1.0",
    shards: 1,
    startedAtMs: 0,
    state: () => harness.state,
    plugins: () => [],
    topicDefaults: { engine: "memory", mode: "memory", partitions: 1 },
    topicCount: () => 0
  }
  const services = {
    facts,
    resources: { register: () => Effect.void, all: () => resources },
    telemetry: { renderPrometheus },
    clock,
    newIncident: () => `incident-${faults.length + 1}`,
    onFault: (incident: string, path: string, error: unknown) => void faults.push({ incident, path, error })
  }
  const app = makeApp(services, settings)
  const harness: Harness = {
    app,
    clock,
    faults,
    state: "ready",
    send: (method, path, init = {}) =>
      app.fetch(new Request(`http://127.0.0.1:8080${path}`, { ...init, method }), { isLoopbackListener: true })
  }
  return harness
}

/** A resource with everything: a list, items by id, verbs of an item and of the collection. */
export function topicsResource(calls: Array<unknown> = []): Resource {
  const input = v.strictObject({
    name: v.string(),
    partitions: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1)
  })
  return {
    name: "topics",
    description: "Topics",
    schema: v.strictObject({ id: v.string() }),
    list: (query) => Effect.sync(() => ({ items: [{ query }], cursor: "next" })),
    get: (id) =>
      id === "gone"
        ? Effect.fail(
            new ResourceError({ reason: "not-found", code: "topic-not-found", message: "no topic is named gone" })
          )
        : Effect.succeed({ id }),
    verbs: [
      {
        name: "create",
        description: "Creates a topic",
        target: "collection",
        input,
        run: (id, given) => Effect.sync(() => void calls.push([id, given])).pipe(Effect.as({ created: true }))
      },
      {
        name: "delete",
        description: "Deletes a topic",
        input: v.strictObject({}),
        run: (id, given) => Effect.sync(() => void calls.push([id, given]))
      }
    ]
  }
}

/** A resource with one verb of each kind; what it was asked stands in `calls`. */
export function usersResource(calls: Array<unknown> = []): Resource {
  const run = (name: string, result: (input: unknown) => unknown) => ({
    name,
    description: name,
    input: v.looseObject({}),
    run: (id: string, input: unknown) =>
      Effect.sync(() => {
        calls.push([name, id, input])
        return result(input)
      })
  })
  return {
    name: "user",
    plural: "access/users",
    description: "Users",
    schema: v.looseObject({ name: v.string() }),
    idMember: "name",
    list: () => Effect.succeed({ items: [] }),
    get: (id) => Effect.succeed({ name: id }),
    verbs: [
      { ...run("create", (input) => input), kind: "create" },
      { ...run("alter", (input) => input), kind: "alter" },
      { ...run("delete", () => undefined), kind: "delete" },
      { ...run("lock", () => undefined), kind: "act" },
      { ...run("import", () => ({ imported: 2 })), target: "collection" }
    ]
  }
}

/** A singleton whose `get` is given. */
export function singleton(name: string, get: NonNullable<Resource["get"]>): Resource {
  return { name, description: name, schema: v.unknown(), singleton: true, get }
}

const problem = v.strictObject({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  code: v.string(),
  detail: v.string(),
  advice: v.string(),
  key: v.optional(v.string()),
  state: v.optional(v.string()),
  incident: v.optional(v.string()),
  bytes_max: v.optional(v.number()),
  errors: v.optional(v.array(v.strictObject({ pointer: v.string(), detail: v.string() })))
})

/** The problem document of an answer; throws where it is none. */
export async function problemOf(response: Response): Promise<v.InferOutput<typeof problem>> {
  const type = response.headers.get("content-type")
  if (type !== "application/problem+json") throw new Error(`no problem document: ${response.status} ${type}`)
  const document = v.parse(problem, await response.json())
  if (document.status !== response.status) throw new Error(`status ${response.status} and in it ${document.status}`)
  return document
}

/** Status and code of an answer, as one comparable text: "404 unknown-route", "200". */
export async function outcome(response: Response): Promise<string> {
  return response.status < 400 ? String(response.status) : `${response.status} ${(await problemOf(response)).code}`
}
