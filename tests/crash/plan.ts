/**
 * What is to happen in one run of the broker, from its start to its death: the same for the same seed and number, whatever the broker
 * does. When each packet is sent and how far the broker has come when it dies is a matter of the machine.
 */
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Qos } from "../support/mqtt-packets.ts"
import { type Cast, LIVE_NAMES, MADE_NAME, type Persona, PROBES_PER_CLIENT, probeName, RETAINED_QOS } from "./cast.ts"
import type { Wanted } from "./Publisher.ts"
import type { Wish } from "./SessionModel.ts"

/** Streams of random numbers: one a cycle, behind those of the cast. */
const STREAM_CYCLES = 1_000

export type Action =
  | { readonly atMs: number; readonly kind: "publish"; readonly wanted: Wanted }
  | { readonly atMs: number; readonly kind: "subscribe"; readonly wish: Wish }
  | { readonly atMs: number; readonly kind: "unsubscribe"; readonly chosen: number }
  | { readonly atMs: number; readonly kind: "cut" | "leave" }
  | ({ readonly atMs: number; readonly kind: "connect" } & ConnectPlan)

/** A CONNECT. */
export interface ConnectPlan {
  readonly clean: boolean
  readonly will: { readonly delay: number; readonly qos: Qos } | undefined
}

export interface CyclePlan {
  readonly number: number
  /** Kills that happen while the broker starts: so long after its process began, ms. */
  readonly earlyKillsMs: ReadonlyArray<number>
  /** Whether retained messages and partitions are looked at before anybody comes. */
  readonly looksFirst: boolean
  /** From the first action to the kill, ms. */
  readonly lifeMs: number
  /** From the kill to the next start, ms. */
  readonly downMs: number
  /** By client identifier; a client that is not there stays away. */
  readonly actions: ReadonlyMap<string, ReadonlyArray<Action>>
  /** For the producers: how long they wait between batches, ms. */
  readonly producePauseMs: number
  readonly chance: Xoshiro128
}

export interface PlanBounds {
  readonly lifeMsMin: number
  readonly lifeMsMax: number
}

export function planCycle(cast: Cast, number: number, { lifeMsMin, lifeMsMax }: PlanBounds): CyclePlan {
  const chance = Xoshiro128.seeded(cast.seed, STREAM_CYCLES + number)
  const lifeMs = lifeMsMin + chance.below(lifeMsMax - lifeMsMin + 1)
  const earlyKillsMs = number > 1 && chance.chance(1, 6) ? [30 + chance.below(400)] : []
  const actions = new Map<string, ReadonlyArray<Action>>()
  for (const persona of cast.personas) {
    // Everybody comes at first, so that there is something to come back to.
    if (number > 1 && !chance.chance(persona.onlineOf8, 8)) continue
    actions.set(persona.clientId, drawActions(persona, chance, lifeMs, number))
  }
  return {
    number,
    earlyKillsMs,
    looksFirst: chance.chance(2, 3),
    lifeMs,
    // Longer than the sessions of the mayflies live.
    downMs: chance.chance(1, 8) ? 2_600 : chance.below(20),
    actions,
    producePauseMs: 5 + chance.below(30),
    chance
  }
}

function drawActions(persona: Persona, chance: Xoshiro128, lifeMs: number, cycle: number): ReadonlyArray<Action> {
  const pick = <Value>(values: ReadonlyArray<Value>): Value => values[chance.below(values.length)] as Value
  const actions: Array<Action> = []
  const connect = (atMs: number): void => {
    const hasWill = chance.chance(persona.willOf8, 8)
    const will = hasWill
      ? { delay: persona.version === 5 ? pick(persona.willDelays) : 0, qos: pick<Qos>([1, 2, 2]) }
      : undefined
    const clean = persona.sessionExpiry === 0 || chance.chance(persona.cleanOf32, 32)
    actions.push({ atMs, kind: "connect", clean, will })
  }
  connect(chance.below(Math.min(150, lifeMs / 4)))
  const wish = (filter: string): Wish => ({
    filter,
    qos: pick<Qos>([1, 1, 2, 2, 0]),
    noLocal: persona.version === 5 && chance.chance(persona.noLocalOf8, 8),
    retainAsPublished: persona.version === 5 && chance.chance(1, 2),
    identifier: persona.version === 5 ? chance.below(20) : 0
  })
  if (persona.choices.length > 0) {
    const changes = cycle === 1 ? 3 : chance.below(3)
    for (let count = 0; count < changes; count++) {
      const atMs = chance.below(lifeMs)
      if (cycle === 1 || chance.chance(2, 3))
        actions.push({ atMs, kind: "subscribe", wish: wish(pick(persona.choices)) })
      else actions.push({ atMs, kind: "unsubscribe", chosen: chance.below(1_000) })
    }
  }
  if (persona.publishMs > 0) {
    const names = [...LIVE_NAMES, MADE_NAME]
    const times: Array<number> = []
    for (let atMs = 10; atMs < lifeMs; atMs += 1 + chance.below(2 * persona.publishMs)) times.push(atMs)
    // Right before the broker dies, so that it dies in the midst of them.
    const last = Math.max(0, lifeMs - chance.below(15))
    for (let count = chance.below(30); count > 0; count--) times.push(last)
    for (const atMs of times) {
      const retain = persona.retainedNames.length > 0 && chance.chance(1, 5)
      const topic = retain ? pick(persona.retainedNames) : pick(names)
      const qos = RETAINED_QOS.get(topic) ?? pick<Qos>([0, 1, 1, 2, 2])
      const isClearing = retain && chance.chance(1, 5)
      const wanted = { topic, qos, retain, isClearing, padding: chance.below(persona.paddingMax + 1) }
      actions.push({ atMs, kind: "publish", wanted })
    }
  }
  const back = (kind: "cut" | "leave"): void => {
    const atMs = chance.below(lifeMs)
    actions.push({ atMs, kind })
    if (chance.chance(2, 3)) connect(atMs + 5 + chance.below(200))
  }
  if (chance.chance(persona.cutsOf8, 8)) back("cut")
  else if (chance.chance(persona.leavesOf8, 8)) back("leave")
  return actions.toSorted((left, right) => left.atMs - right.atMs)
}

/** Messages that prove each subscription of each client: one to every probe name. */
export function probesOf(cast: Cast, chance: Xoshiro128): ReadonlyArray<Wanted> {
  return cast.personas
    .filter(({ fixed }) => fixed.some(({ filter }) => filter.startsWith("only/")))
    .flatMap(({ clientId }) =>
      Array.from({ length: PROBES_PER_CLIENT }, (_, index) => ({
        topic: probeName(clientId, index),
        qos: chance.chance(1, 2) ? (1 as const) : (2 as const),
        retain: false,
        isClearing: false,
        padding: 0
      }))
    )
}
