/** Draws sequences from a seed, compares this broker with mosquitto on each, and shortens the first that shows an unexplained difference. */
import fc from "fast-check"
import { type Broker, startBroker } from "../support/broker.ts"
import type { Difference } from "./compare.ts"
import { EXPLAINED, type Explanation } from "./explained.ts"
import { Mosquitto } from "./Mosquitto.ts"
import { type Sequence, sequences } from "./plan.ts"
import { runSequence } from "./run.ts"

export interface Report {
  readonly sequences: number
  readonly steps: number
  /** Messages that mosquitto's clients got. */
  readonly messages: number
  /** Differences by what explains them, those alone that came. */
  readonly explained: ReadonlyArray<readonly [Explanation, number]>
  readonly failure: Failure | undefined
}
export interface Failure {
  readonly sequence: Sequence
  readonly differences: ReadonlyArray<Difference>
  /** Arguments that repeat it. */
  readonly replay: string
}

const SHARD_COUNTS = [1, 2]
/** How long a failing sequence is made shorter, ms. */
const SHRINK_MS = 60_000

class Unexplained extends Error {
  readonly differences: ReadonlyArray<Difference>
  constructor(differences: ReadonlyArray<Difference>) {
    super("unexplained differences")
    this.differences = differences
  }
}

/** Runs so many sequences, fewer where `ms` are over before. */
export async function differ(options: {
  readonly seed: number
  readonly runs: number
  readonly path?: string
  readonly ms?: number
}): Promise<Report> {
  const mosquitto = await Mosquitto.start()
  const brokers: Array<Broker> = []
  try {
    for (const shards of SHARD_COUNTS) brokers.push(await startBroker({ shards }))
    return await compareAll(mosquitto, brokers, options)
  } finally {
    mosquitto.stop()
    for (const broker of brokers) await broker.stop()
  }
}

async function compareAll(
  mosquitto: Mosquitto,
  brokers: ReadonlyArray<Broker>,
  {
    seed,
    runs,
    path,
    ms = Number.POSITIVE_INFINITY
  }: { readonly seed: number; readonly runs: number; readonly path?: string; readonly ms?: number }
): Promise<Report> {
  const reference = { name: "mosquitto", address: mosquitto.address }
  const subjects = brokers.map((broker, index) => ({
    name: `shards = ${SHARD_COUNTS[index]}`,
    address: broker.mqtt
  }))
  const counts = new Map<Explanation, number>()
  const total = { sequences: 0, steps: 0, messages: 0 }
  let failedAt: number | undefined
  const end = performance.now() + ms
  const property = fc.asyncProperty(sequences, async (sequence) => {
    // A sequence that has begun is done to its end: what takes long may be what is wrong.
    if (failedAt === undefined && performance.now() > end) return
    // What is shown to be different is made shorter, for as long as there is time.
    if (failedAt !== undefined && performance.now() - failedAt > SHRINK_MS) return
    const { differences, steps, messages } = await runSequence(reference, subjects, sequence)
    const unexplained = differences.filter(({ explanation }) => explanation === undefined)
    if (failedAt === undefined) {
      total.sequences += 1
      total.steps += steps
      total.messages += messages
      for (const { explanation } of differences) {
        if (explanation !== undefined) counts.set(explanation, (counts.get(explanation) ?? 0) + 1)
      }
    }
    if (unexplained.length === 0) return
    failedAt ??= performance.now()
    throw new Unexplained(unexplained)
  })
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path === undefined ? {} : { path })
  })
  const explained = EXPLAINED.flatMap((each) => {
    const count = counts.get(each)
    return count === undefined ? [] : [[each, count] as const]
  })
  return { ...total, explained, failure: failureOf(details) }
}

function failureOf(details: fc.RunDetails<[Sequence]>): Failure | undefined {
  if (!details.failed || details.counterexample === null) return undefined
  const [sequence] = details.counterexample
  const error = details.errorInstance
  if (!(error instanceof Unexplained)) throw error
  const replay = `--seed ${details.seed} --path ${details.counterexamplePath}`
  return { sequence, differences: error.differences, replay }
}
