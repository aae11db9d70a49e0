/** The platform on Bun: network, time, chance and files of the real machine. */
import { randomFillSync } from "node:crypto"
import { Layer } from "effect"
import { Clock, type ClockShape } from "../Clock.ts"
import { Files } from "../Files.ts"
import { Net, type NetShape } from "../Net.ts"
import { makeNodeFiles } from "../node-files.ts"
import { Random, type RandomShape } from "../Random.ts"
import { serveHttp } from "./http.ts"
import { listenTcp, type OnFault } from "./tcp.ts"
import { listenWebSocket } from "./websocket.ts"

export const bunClock: ClockShape = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  microtask: (task) => queueMicrotask(task),
  immediate: (task) => void setImmediate(task)
}

export const bunRandom: RandomShape = {
  uint32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  fill: (target, start, end) => void randomFillSync(target, start, end - start)
}

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
    Layer.succeed(Clock, bunClock),
    Layer.succeed(Random, bunRandom),
    Layer.sync(Files, makeNodeFiles)
  )
}
