/** The floor server as a broker: the ceiling of machine, runtime and driver. */
import type { Broker } from "./Broker.ts"
import { BROKER_CORE, launch } from "./launch.ts"

const PROGRAM = new URL("./floor-server.ts", import.meta.url).pathname

/** The floor; with `fault` (for example "drop:1000") it misbehaves, which tests the driver. */
export function floor(fault = "none:0"): Broker {
  return {
    name: "floor",
    storage: "none, copies bytes",
    promise: "forgotten: this is not a broker",
    survives: "nothing",
    storesForSubscribersOnly: false,
    settings: () => [],
    missing: () => undefined,
    about: () => "floor server of this repository: handshakes and copies only, not a broker",
    hasTls: true,
    start: async (_folder, _topicNames, files) => {
      const startMs = performance.now()
      const tls = files === undefined ? [] : ["--certificate", files.certificate, "--key", files.privateKey]
      const child = launch([process.execPath, PROGRAM, "--fault", fault, ...tls], BROKER_CORE)
      const port = await child.line((line) => /^ready (\d+)$/.exec(line)?.[1])
      const readyMs = performance.now() - startMs
      return { pid: child.pid, port: Number(port), readyMs, stop: child.stop, kill: child.kill }
    }
  }
}
