/** A tiny line protocol over TCP, spoken by hand with netcat: publish, subscribe, and replay what is stored. */
import { Effect, Layer } from "effect"
import {
  Access,
  Clock,
  CONTRACT_VERSION,
  Ingress,
  Listeners,
  Logs,
  Net,
  PluginError,
  type ProtocolPlugin,
  Resources,
  Router,
  Shard,
  type Socket,
  type SocketReceiver,
  Telemetry,
  type TelemetryShape,
  Topics,
  Turn
} from "manifold"
import { Connection } from "./Connection.ts"
import { options, Server, type Settings } from "./Server.ts"

const NAME = "protocol-line"
/** How long a graceful stop waits for clients to read that they are to go. */
const STOP_GRACE_MS = 200
const FULL = new TextEncoder().encode("BYE too many clients\n")
/** Receives nothing: for a connection that was refused. */
const NOBODY: SocketReceiver = { data: () => {}, drain: () => {}, closed: () => {} }

export const plugin: ProtocolPlugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options,
  layer: (given) => Layer.effectDiscard(start(given as Settings))
}

/** Stands for one shard; the scope that it runs in is its life. */
const start = Effect.fnUntraced(function* (settings: Settings) {
  const clock = yield* Clock
  const net = yield* Net
  const listeners = yield* Listeners
  const resources = yield* Resources
  const server = new Server(settings, {
    access: yield* Access,
    clock,
    ingress: yield* Ingress,
    logs: yield* Logs,
    router: yield* Router,
    shard: yield* Shard,
    topics: yield* Topics,
    turn: yield* Turn
  })
  yield* registerMetrics(yield* Telemetry, server)
  yield* resources.register(server.resource())
  yield* Effect.addFinalizer(() => stop(server))
  for (const address of settings.tcp) {
    const listening = yield* net
      .listenTcp(address, (socket) => accept(server, socket))
      .pipe(
        Effect.mapError(
          (error) => new PluginError({ plugin: NAME, message: `cannot listen on ${error.address}: ${error.reason}` })
        )
      )
    yield* listeners.announce({ plugin: NAME, listener: "tcp", address: listening.address })
  }
})

function accept(server: Server, socket: Socket): SocketReceiver {
  const { connections, counts, settings } = server
  if (connections.size >= settings.connections_max) {
    socket.write(FULL, 0, FULL.length)
    socket.end()
    return NOBODY
  }
  const number = ++counts.connections
  const connection = new Connection(server, socket, number)
  connections.set(number, connection)
  return connection
}

/** Tells every client, and gives them a moment to read it. The listeners are closed by then: they were opened later. */
function stop(server: Server): Effect.Effect<void> {
  return Effect.suspend(() => {
    const { clock } = server.services
    const connections = [...server.connections.values()]
    for (const connection of connections) connection.close("the broker is stopping")
    if (connections.length === 0) return Effect.void
    return Effect.callback<void>((resume) => {
      clock.after(STOP_GRACE_MS, () => resume(Effect.void))
    })
  })
}

/** Plain numbers while running; they become text when somebody asks. Shards add up. */
const registerMetrics = Effect.fnUntraced(function* (telemetry: TelemetryShape, server: Server) {
  const { counts } = server
  yield* telemetry.counterOf("manifold_line_connections_total", "Clients accepted", () => counts.connections)
  yield* telemetry.counterOf("manifold_line_published_total", "PUB commands", () => counts.published)
  yield* telemetry.counterOf("manifold_line_delivered_total", "MSG lines", () => counts.delivered)
  yield* telemetry.counterOf("manifold_line_replayed_total", "REC lines", () => counts.replayed)
  yield* telemetry.counterOf(
    "manifold_line_dropped_slow_total",
    "Messages dropped because a client does not read",
    () => counts.droppedSlow
  )
  yield* telemetry.counters("manifold_line_refused_total", "Commands refused", "code", () => server.refusals)
  yield* telemetry.gauge("manifold_line_connections", "Clients connected now", () => server.connections.size)
  yield* telemetry.gauge("manifold_line_output_bytes", "Bytes that wait for clients", () => server.outputSize())
})
