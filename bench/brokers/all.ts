/** Every broker that can be measured, and which are by default. */
import type { Scenario } from "../scenarios.ts"
import type { Broker } from "./Broker.ts"
import { tooMany } from "./descriptors.ts"
import { floor } from "./floor.ts"
import { type Build, manifold, manifoldDurable, manifoldSqlite, manifoldWithoutTopic } from "./manifold.ts"
import { mosquitto, mosquittoDefault, mosquittoPersistent, mosquittoStrict } from "./mosquitto.ts"
import { peers } from "./peers/brokers.ts"

export const brokersOf = (build: Build): readonly Broker[] => [
  manifold(build),
  manifoldWithoutTopic(build),
  manifoldDurable(build),
  manifoldSqlite(build),
  mosquitto(),
  mosquittoDefault(),
  mosquittoPersistent(),
  mosquittoStrict(),
  ...peers(),
  floor()
]

export const BROKERS_BY_DEFAULT: readonly string[] = ["manifold", "manifold-no-topic", "mosquitto"]
/** Where what is stored is the point. */
export const DURABLE_BY_DEFAULT: readonly string[] = ["manifold-durable", "mosquitto-persistent", "mosquitto-strict"]

/** Whether `scenario` is about what a broker keeps. */
export function isDurable({ kind }: Scenario): boolean {
  return kind === "acknowledge" || kind === "offline" || kind === "restart"
}

/** Whether `broker` can do `scenario` at all; the others are left out of its table, and the table says why. */
export function cannot(broker: Broker, scenario: Scenario): string | undefined {
  const isFloor = broker.name === "floor"
  if (isFloor && (scenario.kind === "offline" || scenario.kind === "restart")) return "it knows no sessions"
  if (scenario.kind === "tls-connect" && broker.hasTls !== true) return "it is measured without TLS only"
  if (scenario.kind === "tls-connect") return tooMany(scenario.connections)
  if (scenario.kind === "idle") return tooMany(scenario.connections)
  const ends = scenario.kind === "restart" ? scenario.end : scenario.kind === "offline" ? scenario.between : "nothing"
  if (ends === "stop" && broker.survives === "nothing") return "its sessions end with the process"
  if (ends === "kill" && broker.survives === "nothing") return "its sessions end with the process"
  return undefined
}
