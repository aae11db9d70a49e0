/**
 * Has topics moved to another engine or mode, again and again, while everything else goes on: the log of a topic must be whole whatever the
 * broker was doing with it when it died.
 */
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { Address } from "../support/broker.ts"
import { type Cast, type CrashEngine, MADE_TOPIC } from "./cast.ts"
import { HAS_DURABLE_STORAGE } from "./has-durable-storage.ts"
import type { Ledger } from "./Ledger.ts"
import type { RunOptions } from "./run.ts"

/** Streams of random numbers: one a cycle, far behind those of the plans. */
const STREAM_MOVES = 1_000_000
/** Of 4 cycles, in how many a topic is moved. */
const MOVES_OF_4 = 3
/** MiB a second: a copy that takes longer than the broker lives, and ones that are done at once. */
const RATES = [0.05, 1_000, 1_000]
/** All of these survive the process. */
const ENGINES: ReadonlyArray<CrashEngine> = ["sqlite", "segment"]
const MODES = ["hybrid", "persistent"]

export interface PlannedMove {
  readonly atMs: number
  readonly topic: string
  readonly engine: string
  readonly mode: string
  readonly rate: number
  /** Given up so long after it was begun, ms; -1 = not. */
  readonly cancelAfterMs: number
}

/** `lifeMs`: how long the broker is to live. An engine that takes no copies would soon keep nothing: with such a one nothing is moved. */
export function planMoves(
  cast: Cast,
  { mode, engines = ENGINES }: Pick<RunOptions, "mode" | "engines">,
  cycle: number,
  lifeMs: number
): ReadonlyArray<PlannedMove> {
  const chance = Xoshiro128.seeded(cast.seed, STREAM_MOVES + cycle)
  const pick = <Value>(values: ReadonlyArray<Value>): Value => values[chance.below(values.length)] as Value
  const isKept =
    HAS_DURABLE_STORAGE &&
    (mode === "persistent" || mode === "hybrid") &&
    engines.every((name) => ENGINES.includes(name))
  if (!isKept || !chance.chance(MOVES_OF_4, 4)) return []
  const names = [...cast.topics.map(({ name }) => name), MADE_TOPIC]
  return Array.from({ length: 1 + chance.below(3) }, () => ({
    atMs: chance.below(lifeMs),
    topic: pick(names),
    engine: pick(ENGINES),
    mode: pick(MODES),
    rate: pick(RATES),
    cancelAfterMs: chance.chance(1, 6) ? chance.below(100) : -1
  }))
}

/** Asks for one; that it is refused, or that the broker dies before it answers, is no fault. */
export async function moveTopic(address: Address, move: PlannedMove, ledger: Ledger): Promise<void> {
  const { topic, engine, mode, rate, cancelAfterMs } = move
  const post = async (verb: string, body: object): Promise<boolean> => {
    const url = `http://${address.host}:${address.port}/api/v1/topics/${topic}/${verb}`
    const headers = { "content-type": "application/json" }
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })
    ledger.check(
      answer.status < 500 || answer.status === 503,
      () => `${verb} of ${topic} was answered ${answer.status}`
    )
    await answer.text()
    return answer.ok
  }
  try {
    if (!(await post("move", { engine, mode, rate }))) return
    ledger.counts.moves += 1
    ledger.note(`${topic} begins to move to ${engine}, ${mode}`)
    if (cancelAfterMs < 0) return
    await new Promise((resolve) => setTimeout(resolve, cancelAfterMs))
    if (await post("cancel-move", {})) ledger.note(`the move of ${topic} was given up`)
  } catch {
    // Its connection has ended with the broker.
  }
}
