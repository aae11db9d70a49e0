/** The administrator's face over HTTP: health, metrics and a route for every resource. It knows no other plugin. */
import { Effect, Layer } from "effect"
import {
  Clock,
  CONTRACT_VERSION,
  type HttpPlugin,
  InvariantViolation,
  isLoopback,
  Listeners,
  Log,
  Net,
  NodeFacts,
  PluginError,
  parseAddress,
  Random,
  Resources,
  randomUuid,
  Telemetry
} from "../../core/mod.ts"
import { makeApp } from "./app.ts"
import { options, type Settings } from "./Settings.ts"

const NAME = "admin-http"

export const plugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "http",
  runs: "node",
  options,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const settings = given as Settings
        const net = yield* Net
        const listeners = yield* Listeners
        const telemetry = yield* Telemetry
        const random = yield* Random
        const log = yield* Log
        const clock = yield* Clock
        const services = {
          facts: yield* NodeFacts,
          resources: yield* Resources,
          telemetry,
          clock,
          newIncident: () => randomUuid(random),
          onFault: (incident: string, path: string, error: unknown) => {
            log.error(NAME, "a request could not be answered", { incident, path, error: asError(error) })
            // Outside of the request, where nothing catches it: a broken invariant stops the process.
            if (error instanceof InvariantViolation) {
              clock.immediate(() => {
                throw error
              })
            }
          }
        }
        const app = makeApp(services, settings)
        yield* telemetry.counters("manifold_http_responses_total", "HTTP answers by status", "status", function* () {
          for (const [status, count] of app.answersByStatus) yield [String(status), count] as const
        })
        yield* telemetry.gauge("manifold_http_requests", "HTTP requests under way", app.underWayCount)
        yield* Effect.addFinalizer(() => Effect.sync(() => app.stop()))
        for (const address of settings.tcp) {
          const arrival = { isLoopbackListener: isLoopback(parseAddress(address)?.host ?? "") }
          const listening = yield* net
            .serveHttp(address, (request) => app.fetch(request, arrival))
            .pipe(
              Effect.mapError(
                (error) =>
                  new PluginError({ plugin: NAME, message: `cannot listen on ${error.address}: ${error.reason}` })
              )
            )
          yield* listeners.announce({ plugin: NAME, listener: "tcp", address: listening.address })
        }
      })
    )
} satisfies HttpPlugin

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
