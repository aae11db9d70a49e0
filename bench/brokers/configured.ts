/**
 * A broker that reads one configuration file, listens on the port that stands in it, and is ready when it takes connections.
 *
 * This is the common part of every peer: the port is chosen, the file is written into the run's folder, the process is started
 * on the broker's core. What is special of each is its file and its command line.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Broker, RunningBroker } from "./Broker.ts"
import type { CertificateFiles } from "./certificate.ts"
import { accepting, BROKER_CORE, freePort, launch } from "./launch.ts"

/** A broker with much to read back after a restart may take this long. */
const START_MS_MAX = 120_000

/** What stands in a configuration file in place of what is known only at the start. */
export interface Places {
  readonly port: number
  /** An empty folder at the first start, the same again at later ones. */
  readonly data: string
  /** Where MQTT over TLS is wanted. */
  readonly certificate?: CertificateFiles
}

export interface Configured extends Omit<Broker, "start" | "settings"> {
  /** How its file's name must end, where the broker asks for that. */
  readonly extension?: string
  /** The configuration, line by line. */
  readonly lines: (places: Places) => readonly string[]
  /** Program and arguments. Not called while something is `missing`. */
  readonly command: (places: Places & { readonly file: string }) => readonly string[]
  /** Variables beside those of this process. */
  readonly environment?: () => Readonly<Record<string, string>>
}

/** Port and folder as the documentation of a run shows them. */
const SHOWN: Places = { port: 1883, data: "DATA" }

export function configured(peer: Configured): Broker {
  const { lines, command, environment, extension = "conf", ...facts } = peer
  return {
    ...facts,
    settings: () => lines(SHOWN),
    start: async (folder, _topicNames, certificate) => {
      const data = join(folder, "data")
      mkdirSync(data, { recursive: true })
      const port = await freePort()
      const file = join(folder, `${peer.name}.${extension}`)
      writeFileSync(
        file,
        `${lines({ port, data, ...(certificate === undefined ? {} : { certificate }) }).join("\n")}\n`
      )
      const program = command({ port, data, file })
      return whenAccepting(program, port, environment?.() ?? {})
    }
  }
}

/** Starts `command` on the broker's core and waits until it takes connections on `port`. */
async function whenAccepting(
  command: readonly string[],
  port: number,
  environment: Readonly<Record<string, string>>
): Promise<RunningBroker> {
  const startMs = performance.now()
  const child = launch(command, BROKER_CORE, { silentMsMax: START_MS_MAX * 2, environment })
  try {
    await accepting(port, child, START_MS_MAX)
  } catch (error) {
    await child.stop()
    throw error
  }
  return { pid: child.pid, port, readyMs: performance.now() - startMs, stop: child.stop, kill: child.kill }
}
