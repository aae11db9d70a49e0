/**
 * The HTTP application: health, metrics and the resources, behind one set of checks. Sans-I/O: a Request in, a Response out.
 *
 * Invariants
 *  - Every answer that is not a success is a problem document, and every answer carries the security headers.
 *  - A request is checked (host, path, headers, declared size) before anything is done for it.
 *  - What a resource does is interrupted when the caller has gone, when its time is over, and when the plugin stops.
 */
import { Cause, Effect, Exit } from "effect"
import type { Context } from "hono"
import { Hono } from "hono/tiny"
import { type ClockShape, type NodeFacts, ResourceError, type Resources, type TelemetryShape } from "../../core/mod.ts"
import { checkRequest } from "./check-request.ts"
import { Problem, quote, textResponse } from "./problems.ts"
import { parseQuery, rawPath, type Segment } from "./request-target.ts"
import { type Action, actionsAt, type Outcome } from "./resource-routes.ts"
import type { Settings } from "./Settings.ts"
import { UnderWay, type Work } from "./UnderWay.ts"

const API_PREFIX = ["api", "v1"]
const LIVE_PATH = "/health/live"
const JSON_TYPE = "application/json"
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

export interface AppServices {
  readonly facts: typeof NodeFacts.Service
  readonly resources: typeof Resources.Service
  readonly telemetry: Pick<TelemetryShape, "renderPrometheus">
  readonly clock: ClockShape
  /** A name for one internal error, shown to the caller and written to the log. */
  readonly newIncident: () => string
  /** Takes what went wrong inside, which the caller does not see. */
  readonly onFault: (incident: string, path: string, error: unknown) => void
}

/** What the listener knows of a request. */
export interface Arrival {
  readonly isLoopbackListener: boolean
}

/** A request that was checked: what its handler gets. */
interface CheckedWork extends Work {
  readonly segments: ReadonlyArray<Segment>
}

interface AppEnvironment {
  Bindings: CheckedWork
}

type AppContext = Context<AppEnvironment>
type Handlers = Readonly<Record<string, (c: AppContext) => Response | Promise<Response>>>

export interface App {
  fetch(request: Request, arrival: Arrival): Promise<Response>
  /** Gives up what is under way. */
  stop(): void
  readonly underWayCount: () => number
  /** Answers by status. */
  readonly answersByStatus: ReadonlyMap<number, number>
}

export function makeApp(services: AppServices, settings: Settings): App {
  const { facts, resources, telemetry, clock } = services
  const answersByStatus = new Map<number, number>()
  const underWay = new UnderWay(clock, settings.requests_max, settings.request_timeout * 1_000)
  const app = new Hono<AppEnvironment>({ getPath: (request) => rawPath(request.url) })

  /** A route with one path: HEAD goes with GET, OPTIONS is answered, another method is refused with Allow. */
  const route = (path: string, handlers: Handlers): void => {
    app.all(path, (c) => answerMethod(c, handlers))
  }
  route(LIVE_PATH, { GET: (c) => plainJson(c, { status: "live" }) })
  route("/health/ready", {
    GET: (c) => {
      const state = facts.state()
      if (state === "ready") return plainJson(c, { status: "ready" })
      const missing = state === "starting" ? "not every listener accepts yet" : "the node is stopping"
      throw new Problem("not-ready", missing, { headers: { "retry-after": "1" }, members: { state } })
    }
  })
  route("/metrics", {
    GET: (c) => {
      parseQuery(c.req.raw.url, [])
      return textResponse(telemetry.renderPrometheus(), METRICS_TYPE)
    }
  })
  app.all("/api/v1/*", (c) => {
    const actions = actionsAt(resources.all(), c.env.segments.slice(API_PREFIX.length))
    if (actions === undefined) throw unknownRoute(c)
    const handlers: Record<string, (c: AppContext) => Promise<Response>> = {}
    for (const [method, action] of actions) handlers[method] = (context) => runAction(context, action, settings)
    return answerMethod(c, handlers)
  })
  app.notFound((c) => problemOf(unknownRoute(c), c.req.raw).toResponse())
  app.onError((error, c) => problemOf(error, c.req.raw).toResponse())

  function problemOf(error: unknown, request: Request): Problem {
    if (error instanceof Problem) return error
    const incident = services.newIncident()
    services.onFault(incident, rawPath(request.url), error)
    return new Problem("internal", "the request could not be answered", { members: { incident } })
  }

  async function answer(request: Request, arrival: Arrival): Promise<Response> {
    try {
      return await underWay.run(request, rawPath(request.url) === LIVE_PATH, (work) => {
        const { isLoopbackListener } = arrival
        const rules = { isLoopbackListener, furtherHosts: settings.hosts, bodyBytesMax: settings.body_bytes_max }
        const segments = checkRequest(request, rules)
        const checked: CheckedWork = Object.assign(work, { segments })
        return app.fetch(request, checked)
      })
    } catch (error) {
      return problemOf(error, request).toResponse()
    }
  }

  return {
    answersByStatus,
    underWayCount: () => underWay.count,
    stop: () => underWay.stop(),
    fetch: async (request, arrival) => {
      const response = await answer(request, arrival)
      answersByStatus.set(response.status, (answersByStatus.get(response.status) ?? 0) + 1)
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value)
      return request.method === "HEAD" && response.body !== null ? new Response(null, response) : response
    }
  }
}

/** Answers by method; the handler of GET is also that of HEAD. */
function answerMethod(c: AppContext, handlers: Handlers): Response | Promise<Response> {
  const { method } = c.req
  const wanted = method === "HEAD" ? "GET" : method
  const handler = Object.hasOwn(handlers, wanted) ? handlers[wanted] : undefined
  if (handler !== undefined) return handler(c)
  const allow = Object.keys(handlers).flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : [each]))
  const headers = { allow: [...allow, "OPTIONS"].join(", ") }
  if (method === "OPTIONS") return new Response(null, { status: 204, headers })
  throw new Problem("method-not-allowed", `${quote(method)} is not one of ${headers.allow}`, { headers })
}

async function runAction(c: AppContext, action: Action, settings: Settings): Promise<Response> {
  c.env.isReading = true
  const effect = await action(c.req.raw, { bytesMax: settings.body_bytes_max, signal: c.env.signal })
  c.env.isReading = false
  const exit = await Effect.runPromiseExit(effect, { signal: c.env.signal })
  if (Exit.isSuccess(exit)) return outcomeResponse(exit.value)
  const error = Cause.squash(exit.cause)
  if (error instanceof ResourceError) throw Problem.ofResource(error)
  if (Cause.hasInterruptsOnly(exit.cause)) throw new Problem("unavailable", "the request was given up")
  throw error
}

function plainJson(c: AppContext, value: unknown): Response {
  parseQuery(c.req.raw.url, [])
  return jsonResponse(value)
}

function outcomeResponse({ value, isCreated, location }: Outcome): Response {
  const headers = location === undefined ? {} : { location: `/${API_PREFIX.join("/")}/${location}` }
  if (value === undefined) return new Response(null, { status: isCreated ? 201 : 204, headers })
  return jsonResponse(value, isCreated ? 201 : 200, headers)
}

function jsonResponse(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined) throw new Error("a resource returned what is no JSON value")
  return textResponse(text, JSON_TYPE, status, headers)
}

function unknownRoute(c: AppContext): Problem {
  return new Problem("unknown-route", `there is nothing at ${quote(c.req.path)}`)
}
