/** The platform on Bun. */
import { Layer } from "effect"
import { Clock } from "../Clock.ts"
import { Files } from "../Files.ts"
import type { OnFault } from "../listening.ts"
import { Net, type NetShape } from "../Net.ts"
import { makeNodeFiles } from "../node-files.ts"
import { Random } from "../Random.ts"
import { systemClock, systemRandom } from "../system.ts"
import { serveHttp } from "./http.ts"
import { listenTcp } from "./tcp.ts"
import { listenWebSocket } from "./websocket.ts"

export function bunNet(onFault: OnFault): NetShape {
  return {
    listenTcp: (address, accept) => listenTcp(address, accept, onFault),
    listenWebSocket: (address, options, accept) => listenWebSocket(address, options, accept, onFault),
    serveHttp: (address, handler) => serveHttp(address, handler, onFault)
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
