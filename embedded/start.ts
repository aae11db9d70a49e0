/**
 * Starts a broker inside a program, as an Effect or as a promise.
 *
 * Invariant: closing the scope (or `close`) is the graceful stop. Afterwards no socket, timer or file of the broker is left, and
 * a program that does nothing else ends by itself. A start that fails leaves nothing either.
 */
import { Effect, Exit, Layer, Scope } from "effect"
import type { ListenerFact } from "../core/mod.ts"
import { type StartError, startNode } from "../core/node/mod.ts"
import { hostPlatform } from "../core/platform/host.ts"
import { plugin as embedded, type Face } from "../plugins/embedded/mod.ts"
import { Broker } from "./Broker.ts"
import type { Configuration, Surroundings } from "./Configuration.ts"
import { ConfigurationError, loadConfiguration } from "./load-configuration.ts"

/** A broker that is closed by hand. */
export class OpenBroker extends Broker {
  readonly #scope: Scope.Closeable
  #closing: Promise<void> | undefined

  constructor(id: string, listeners: ReadonlyArray<ListenerFact>, face: Face, scope: Scope.Closeable) {
    super(id, listeners, face)
    this.#scope = scope
  }

  /** Stops gracefully; settles when nothing is left. Any number of calls stop it once. */
  close(): Promise<void> {
    this.#closing ??= Effect.runPromise(Scope.close(this.#scope, Exit.void))
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Starts a broker in the surrounding scope. */
export function start(
  configuration: Configuration = {},
  surroundings: Surroundings = {}
): Effect.Effect<Broker, ConfigurationError | StartError, Scope.Scope> {
  return Effect.map(
    startFace(configuration, surroundings),
    ({ id, listeners, face }) => new Broker(id, listeners, face)
  )
}

/**
 * Starts a broker that lives until it is closed: `await using broker = await openBroker()`. Rejects with {@link ConfigurationError} or
 * `StartError`.
 */
export async function openBroker(
  configuration: Configuration = {},
  surroundings: Surroundings = {}
): Promise<OpenBroker> {
  const scope = Scope.makeUnsafe()
  const starting = startFace(configuration, surroundings).pipe(
    Scope.provide(scope),
    Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
  )
  const { id, listeners, face } = await Effect.runPromise(starting)
  return new OpenBroker(id, listeners, face, scope)
}

interface Started {
  readonly id: string
  readonly listeners: ReadonlyArray<ListenerFact>
  readonly face: Face
}

function startFace(
  configuration: Configuration,
  surroundings: Surroundings
): Effect.Effect<Started, ConfigurationError | StartError, Scope.Scope> {
  return Effect.gen(function* () {
    const options = loadConfiguration(configuration, surroundings)
    if (options instanceof ConfigurationError) return yield* options
    const faces: Array<Face> = []
    // First of the protocols, so that it is the last to go: the program sees what clients leave behind, their wills among it.
    const own = { plugin: embedded, options: { opened: (face: Face) => faces.push(face) } }
    const platform = yield* Layer.build(
      hostPlatform((error) => options.log(`a connection was closed: ${String(error)}`))
    )
    const node = startNode({ ...options, plugins: [own, ...options.plugins] })
    const { listeners } = yield* Effect.provide(node, platform)
    const [face] = faces
    if (face === undefined) return yield* Effect.die(new Error("the program's face opens with its plugin"))
    return { id: options.id, listeners, face }
  })
}
