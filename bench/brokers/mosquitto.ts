/**
 * Eclipse mosquitto, in four settings: prepared for load (as many brokers are by default), as it comes, and twice with its
 * persistence: saved now and then (its default), and saved after every change (the strictest that it has).
 *
 * Source: mosquitto.conf(5), "persistence", "autosave_interval", "autosave_on_changes": a save writes the whole database anew.
 */
import { execFileSync } from "node:child_process"
import type { Broker } from "./Broker.ts"
import { configured } from "./configured.ts"
import type { Installed } from "./peers/install.ts"
import { debianProgram } from "./peers/packages.ts"

const PREPARED = ["set_tcp_nodelay true", "max_inflight_messages 1000", "max_queued_messages 0"]
const MEMORY_ONLY = "in the queues of its subscribers, in memory"

/** No queue limit, 1,000 in flight, no Nagle, no persistence. */
export const mosquitto = (): Broker =>
  broker("mosquitto", "none, in process", MEMORY_ONLY, "nothing", () => [...PREPARED, "persistence false"])
/** What a new installation does. */
export const mosquittoDefault = (): Broker =>
  broker("mosquitto-default", "none, in process", MEMORY_ONLY, "nothing", () => [])
/** Persistence as its manual page describes it: all is saved every 1,800 seconds and at a stop. */
export const mosquittoPersistent = (): Broker =>
  broker(
    "mosquitto-persistent",
    "file, every 1,800 s",
    "in the queues of its subscribers, in memory; a crash loses up to 30 minutes (autosave_interval 1800)",
    "a stop",
    (data) => [...PREPARED, "persistence true", `persistence_location ${data}/`]
  )
/** The strictest persistence that it offers: the whole database is written and synced after each change. */
export const mosquittoStrict = (): Broker =>
  broker(
    "mosquitto-strict",
    "file, every change",
    "in the queues of its subscribers, in memory; all is saved right afterwards, a crash before that loses it",
    "a kill",
    (data) => [
      ...PREPARED,
      "persistence true",
      `persistence_location ${data}/`,
      "autosave_on_changes true",
      "autosave_interval 1"
    ]
  )

function broker(
  name: string,
  storage: string,
  promise: string,
  survives: Broker["survives"],
  settings: (data: string) => readonly string[]
): Broker {
  const installed = (): Installed | undefined => debianProgram("mosquitto")
  return configured({
    name,
    storage,
    promise,
    survives,
    storesForSubscribersOnly: true,
    missing: () => (installed() === undefined ? "mosquitto is not installed" : undefined),
    about: () => version(installed()),
    // Started by root it would change to a user that cannot read the folder.
    hasTls: true,
    lines: ({ port, data, certificate }) => [
      `listener ${port} 127.0.0.1`,
      ...(certificate === undefined
        ? []
        : [`certfile ${certificate.certificate}`, `keyfile ${certificate.privateKey}`]),
      "allow_anonymous true",
      ...(process.getuid?.() === 0 ? ["user root"] : []),
      ...settings(data)
    ],
    command: ({ file }) => [installed()?.path ?? "mosquitto", "-c", file],
    environment: () => installed()?.environment ?? {}
  })
}

function version(installed: Installed | undefined): string {
  if (installed === undefined) return "not installed"
  const options = { encoding: "utf8", env: { ...process.env, ...installed.environment } } as const
  const help = (() => {
    try {
      return execFileSync(installed.path, ["-h"], options)
    } catch (error) {
      // Some versions end their help with exit code 1.
      return String((error as { stdout?: unknown }).stdout ?? "")
    }
  })()
  return help.split("\n")[0]?.trim() || "version unknown"
}
