/** The floor server as a broker: the ceiling of machine, runtime and driver; and, reading nothing, of the driver alone. */
import type { Broker } from "./Broker.ts"
import { BROKER_CORE, launch } from "./launch.ts"

const PROGRAM = new URL("./floor-server.ts", import.meta.url).pathname

/** The floor; with `fault` (for example "drop:1000") it misbehaves, which tests the driver. */
export const floor = (fault = "none:0"): Broker => server("floor", "none, copies bytes", ["--fault", fault])
/** Passes the bytes of QoS 0 pairs on without looking at them: what the driver can do when nothing holds it back. */
export const sink = (): Broker => server("sink", "none, passes bytes on unread", ["--relay"])

function server(name: string, storage: string, options: readonly string[]): Broker {
  return {
    name,
    storage,
    promise: "forgotten: this is not a broker",
    survives: "nothing",
    storesForSubscribersOnly: false,
    settings: () => [],
    missing: () => undefined,
    about: () => `${name} server of this repository: handshakes and copies only, not a broker`,
    start: async () => {
      const startMs = performance.now()
      const child = launch([process.execPath, PROGRAM, ...options], BROKER_CORE)
      const port = await child.line((line) => /^ready (\d+)$/.exec(line)?.[1])
      const readyMs = performance.now() - startMs
      return { pid: child.pid, port: Number(port), readyMs, stop: child.stop, kill: child.kill }
    }
  }
}
