/** The platform on Bun. */
import { Layer } from "effect"
import { Clock } from "../Clock.ts"
import { Files } from "../Files.ts"
import type { OnFault } from "../listening.ts"
import { Net, type NetShape } from "../Net.ts"
import { makeNodeFiles } from "../node-files.ts"
import { Random } from "../Random.ts"
import { systemClock, systemRandom } from "../system.ts"
import { webSocketAccept } from "../WebSocketConnection.ts"
import { connectTcp } from "./connect.ts"
import { serveHttp } from "./http.ts"
import { listenQuic } from "./quic.ts"
import { listenTcp } from "./tcp.ts"
import { listenTls } from "./tls.ts"
import { listenUnix } from "./unix.ts"
import { listenWebSocket } from "./websocket.ts"

export function bunNet(onFault: OnFault): NetShape {
  return {
    listenTcp: (address, accept, tls) =>
      tls === undefined ? listenTcp(address, accept, onFault) : listenTls(address, accept, tls, onFault),
    listenQuic: (address, accept, tls) => listenQuic(address, accept, tls, onFault),
    listenUnix: (path, accept) => listenUnix(path, accept, onFault),
    // The runtime's server keeps the certificate that it began with, and shows nobody the bytes in front of a request.
    listenWebSocket: (address, options, accept) => {
      const { tls, isBehindProxy = false } = options
      if (tls === undefined && !isBehindProxy) return listenWebSocket(address, options, accept, onFault)
      const accepting = webSocketAccept(options, accept, onFault)
      return tls === undefined ? listenTcp(address, accepting, onFault) : listenTls(address, accepting, tls, onFault)
    },
    serveHttp: (address, handler) => serveHttp(address, handler, onFault),
    connectTcp: (address, accept, tls) => connectTcp(address, accept, tls, onFault)
  }
}

export function bunPlatform(onFault: OnFault): Layer.Layer<Net | Clock | Random | Files> {
  return Layer.mergeAll(
    Layer.succeed(Net, bunNet(onFault)),
    Layer.succeed(Clock, systemClock),
    Layer.succeed(Random, systemRandom),
    Layer.sync(Files, makeNodeFiles)
  )
}
