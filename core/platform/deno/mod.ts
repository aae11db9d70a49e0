/** The platform on Deno. */
import { Effect, Layer } from "effect"
import { Clock } from "../Clock.ts"
import { Files } from "../Files.ts"
import type { OnFault } from "../listening.ts"
import { ListenError, Net, type NetShape } from "../Net.ts"
import { makeNodeFiles } from "../node-files.ts"
import { Random } from "../Random.ts"
import { systemClock, systemRandom } from "../system.ts"
import { webSocketAccept } from "../WebSocketConnection.ts"
import { connectTcp } from "./connect.ts"
import { serveHttp } from "./http.ts"
import { listenTcp } from "./tcp.ts"

export function denoNet(onFault: OnFault): NetShape {
  return {
    listenTcp: (address, accept, tls) =>
      tls === undefined ? listenTcp(address, accept, onFault) : Effect.fail(refused(address, "TLS")),
    listenQuic: (address) => Effect.fail(refused(address, "QUIC")),
    listenUnix: (path) => Effect.fail(refused(path, "unix sockets")),
    listenWebSocket: (address, options, accept) =>
      options.tls === undefined
        ? listenTcp(address, webSocketAccept(options, accept, onFault), onFault)
        : Effect.fail(refused(address, "TLS")),
    serveHttp: (address, handler) => serveHttp(address, handler, onFault),
    connectTcp: (address, accept, tls) => connectTcp(address, accept, tls, onFault)
  }
}

function refused(address: string, what: string): ListenError {
  return new ListenError({ address, reason: `${what} needs Bun, or one of the executables` })
}

export function denoPlatform(onFault: OnFault): Layer.Layer<Net | Clock | Random | Files> {
  return Layer.mergeAll(
    Layer.succeed(Net, denoNet(onFault)),
    Layer.succeed(Clock, systemClock),
    Layer.succeed(Random, systemRandom),
    Layer.sync(Files, makeNodeFiles)
  )
}
