/**
 * What subscribing costs those who publish: a closed loop at full speed, now with other clients that subscribe and unsubscribe on a
 * schedule, now without, in turns within one run.
 *
 * Invariants
 *  - The turns are A B B A A B ...: what the machine does meanwhile falls on both. The cost is the median over pairs of neighbours.
 *  - No changed filter matches what is published; each is given up again when so many newer ones stand, so that they do not grow.
 *  - Every SUBSCRIBE and UNSUBSCRIBE has to be answered, every message of the pairs to arrive once and in order.
 */
import type { SubscribeLoad } from "../scale-scenarios.ts"
import { medianOf } from "../statistics.ts"
import { connect, inParallel, sleep, withinSetUpTime } from "./connect.ts"
import { FilterClient } from "./FilterClient.ts"
import { disconnectFrame } from "./frames.ts"
import { type Measured, MessageRun, type RunOptions } from "./message-run.ts"
import { Run } from "./Run.ts"
import type { Report } from "./report.ts"

const TICK_MS = 1
/** Answers that are still due at the end have this long. */
const ANSWER_MS_MAX = 10_000

export async function runSubscribeLoad(scenario: SubscribeLoad, options: RunOptions): Promise<Report> {
  const messages = new MessageRun({ ...scenario, topics: "pair", qos: 0 }, options)
  await messages.open()
  const changers = new Changers(scenario, options)
  await changers.open()
  messages.run.maySend = true
  for (const publisher of messages.publishers) publisher.pump()
  // Both ways of it are warm before it counts.
  await messages.watch(options.warmUpSeconds * 500)
  changers.start()
  await messages.watch(options.warmUpSeconds * 500)
  changers.pause()

  const without: Measured[] = []
  const withLoad: Measured[] = []
  const seconds = options.seconds / scenario.turns
  for (let turn = 0; turn < scenario.turns; turn++) {
    for (const isLoaded of turn % 2 === 0 ? [false, true] : [true, false]) {
      if (isLoaded) changers.start()
      const measured = await messages.segment(seconds)
      changers.pause()
      if (isLoaded) withLoad.push(measured)
      else without.push(measured)
    }
  }
  await changers.settle()
  const pairs = await messages.close()
  const report = messages.report(sumOf(withLoad), {
    ...pairs,
    refused: pairs.refused + changers.refused,
    unexpectedAcknowledgements: pairs.unexpectedAcknowledgements + changers.unexpected,
    unacknowledged: pairs.unacknowledged + changers.unanswered,
    stray: pairs.stray + changers.stray,
    broken: pairs.broken + changers.broken
  })
  changers.close()
  const alone = messages.report(sumOf(without), pairs)
  const ratios = withLoad.map((measured, turn) => rateOf(measured) / Math.max(1, rateOf(without[turn] as Measured)))
  return {
    ...report,
    load: {
      perSecondWithout: alone.perSecond,
      brokerMicrosWithout: alone.brokerMicrosPerMessage,
      cost: 1 - medianOf(ratios),
      subscribesPerSecond: changers.subscribes / (scenario.turns * seconds + options.warmUpSeconds / 2)
    }
  }
}

function rateOf({ delivered, seconds }: Measured): number {
  return delivered / seconds
}

/** All of `parts` as one. */
function sumOf(parts: readonly Measured[]): Measured {
  const sum = (value: (part: Measured) => number): number => parts.reduce((total, part) => total + value(part), 0)
  return {
    seconds: sum(({ seconds }) => seconds),
    delivered: sum(({ delivered }) => delivered),
    sent: sum(({ sent }) => sent),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    used: {
      brokerMicros: sum(({ used }) => used.brokerMicros),
      driverMicros: sum(({ used }) => used.driverMicros),
      rssMiB: Math.max(...parts.map(({ used }) => used.rssMiB))
    }
  }
}

/** The clients that subscribe and unsubscribe: `rate` SUBSCRIBEs a second over all of them, as many UNSUBSCRIBEs once `keep` stand. */
class Changers {
  /** SUBSCRIBEs sent so far. */
  subscribes = 0
  readonly #scenario: SubscribeLoad
  readonly #options: RunOptions
  readonly #clients: FilterClient[]
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(scenario: SubscribeLoad, options: RunOptions) {
    this.#scenario = scenario
    this.#options = options
    const { changers: count } = scenario
    // They expect no message: whatever comes is stray.
    const run = new Run(1, count)
    const { level, payloadBytes } = options
    this.#clients = Array.from({ length: count }, (_, index) => new FilterClient(run, { level, index, payloadBytes }))
    this.#run = run
  }
  readonly #run: Run

  get refused(): number {
    return this.#clients.reduce((sum, { refused }) => sum + refused, 0)
  }
  get unexpected(): number {
    return this.#clients.reduce((sum, { unexpected }) => sum + unexpected, 0)
  }
  get unanswered(): number {
    return this.#clients.reduce((sum, { openPackets }) => sum + openPackets, 0)
  }
  get broken(): number {
    return this.#clients.filter(({ isBroken, malformed }) => isBroken || malformed > 0).length
  }
  get stray(): number {
    return this.#run.ledger.stray + this.#run.corrupt
  }

  async open(): Promise<void> {
    const { endpoint } = this.#options
    const open = (index: number): Promise<void> =>
      connect(this.#clients[index] as FilterClient, endpoint, `bench-x${index}`)
    await withinSetUpTime(inParallel(this.#clients.length, this.#clients.length, open))
  }

  /** Goes on from now: what was not due while it paused is not made up for. */
  start(): void {
    const startMs = performance.now()
    const before = this.subscribes
    const tick = (): void => {
      const due = before + Math.floor(((performance.now() - startMs) * this.#scenario.rate) / 1000)
      while (this.subscribes < due && this.#change(this.subscribes)) this.subscribes++
    }
    this.#timer = setInterval(tick, TICK_MS)
  }

  pause(): void {
    clearInterval(this.#timer)
  }

  /** Waits for the answers that are due. */
  async settle(): Promise<void> {
    const endMs = performance.now() + ANSWER_MS_MAX
    while (this.unanswered > 0 && this.broken === 0 && performance.now() < endMs) await sleep(TICK_MS)
  }

  close(): void {
    for (const client of this.#clients) client.close(disconnectFrame())
  }

  /** One SUBSCRIBE, and the UNSUBSCRIBE of the filter that is too many by it; false while the socket takes nothing. */
  #change(change: number): boolean {
    const client = this.#clients[change % this.#clients.length] as FilterClient
    if (client.blocked || client.isBroken) return false
    const old = change - this.#scenario.keep
    const frames = [client.subscribing([filterOf(change)], 0)]
    if (old >= 0) frames.push(client.unsubscribing([filterOf(old)]))
    const bytes = Buffer.concat(frames)
    client.write(bytes, 0, bytes.length)
    return true
  }
}

/** Two wildcards, far from what is published. */
function filterOf(change: number): string {
  return `bench/x/+/${change}/#`
}
