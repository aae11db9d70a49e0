/**
 * Messages for sessions that are away: `store` makes the sessions, sends them away and publishes; `drain` brings them back and
 * counts what they get. Two processes, so that the broker can be restarted or killed in between.
 *
 * Invariants
 *  - A session is away when the broker has closed its connection: nothing of what follows is delivered live.
 *  - `drain` expects of each session exactly the messages whose PUBACK `store` saw, in order. More (sent, not acknowledged) is
 *    neither loss nor fault; each that comes twice, late or not at all is counted.
 */
import type { Offline } from "../scenarios.ts"
import { connect, inParallel, leave, sleep, subscribe, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, type Target, targetBlock } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { costsOf, UsageWatch } from "./process-usage.ts"
import { Run } from "./Run.ts"
import type { Phase } from "./report.ts"
import { Subscriber } from "./Subscriber.ts"
import { TimedPublisher } from "./TimedPublisher.ts"
import { Waiting } from "./Waiting.ts"

const CONNECTING_MAX = 50
const LOOK_MS = 5
/** Sessions of thousands, each made durable: with one sync each that takes a while. */
const SET_UP_MS_MAX = 120_000

/** What the store phase hands to the drain phase. */
export interface Stored extends Phase {
  /** PUBACKs by session. */
  readonly acknowledgedOf: readonly number[]
  /** PUBACKs with an error. */
  readonly refused: number
  /** Publishers whose connection the broker ended. */
  readonly broken: number
}

/** What came back. */
export interface Drained extends Phase {
  readonly expected: number
  readonly lost: number
  readonly duplicates: number
  readonly reordered: number
  readonly stray: number
  readonly corrupt: number
  readonly broken: number
  /** Sessions that the broker no longer knew. */
  readonly sessionsMissing: number
}

export async function storeOffline(scenario: Offline, options: RunOptions): Promise<Stored> {
  const { sessions, messagesEach, publishers: count, window } = scenario
  const { level, endpoint, brokerPid } = options
  await withinSetUpTime(
    inParallel(sessions, CONNECTING_MAX, async (index) => {
      const session = new Waiting(level)
      await connect(session, endpoint, sessionName(index), "kept")
      await subscribe(session, topicNameOf(index), 1)
      await leave(session)
    }),
    SET_UP_MS_MAX
  )
  const acknowledgedOf = new Array<number>(sessions).fill(0)
  const publishers: TimedPublisher[] = []
  const wantedOf: number[] = []
  await inParallel(count, CONNECTING_MAX, async (index) => {
    const targets: Target[] = []
    for (let session = index; session < sessions; session += count) {
      targets.push({ topicName: topicNameOf(session), publisher: session })
    }
    const block = targetBlock({ level, targets, qos: 1, payloadBytes: options.payloadBytes })
    const publisher = new TimedPublisher(level, block, window, (message) => {
      const session = targets[message % targets.length]?.publisher ?? 0
      acknowledgedOf[session] = (acknowledgedOf[session] ?? 0) + 1
    })
    publishers[index] = publisher
    wantedOf[index] = targets.length * messagesEach
    await connect(publisher, endpoint, `bench-p${index}`)
  })

  const watch = new UsageWatch(brokerPid)
  const startMs = performance.now()
  const endMs = startMs + options.seconds * 1000
  let lastMs = startMs
  let isOver = false
  publishers.forEach((publisher, index) => {
    publisher.onRoom = () => {
      lastMs = performance.now()
      if (!isOver) publisher.send((wantedOf[index] as number) - publisher.sent)
    }
    publisher.onRoom()
  })
  const isDone = (): boolean =>
    publishers.every((publisher, index) => publisher.isBroken || publisher.acknowledged === wantedOf[index])
  while (!isDone() && performance.now() < endMs) await sleep(LOOK_MS)
  isOver = true
  const isOpen = (): boolean =>
    publishers.some((publisher) => publisher.acknowledged < publisher.sent && !publisher.isBroken)
  while (isOpen() && performance.now() - lastMs < scenario.quietSeconds * 1000) await sleep(LOOK_MS)
  const used = watch.end()
  const seconds = (lastMs - startMs) / 1000
  const acknowledged = acknowledgedOf.reduce((sum, value) => sum + value, 0)
  const broken = publishers.filter((publisher) => publisher.isBroken || publisher.malformed > 0).length
  for (const publisher of publishers) if (!publisher.isBroken) await leave(publisher)
  return {
    messages: acknowledged,
    seconds,
    perSecond: acknowledged / seconds,
    ...costsOf(used, acknowledged, seconds),
    brokerRssMiB: used.rssMiB,
    acknowledgedOf,
    refused: publishers.reduce((sum, publisher) => sum + publisher.refused, 0),
    broken
  }
}

export async function drainOffline(scenario: Offline, options: RunOptions, stored: Stored): Promise<Drained> {
  const { sessions } = scenario
  const quietMs = scenario.quietSeconds * 1000
  const { level, endpoint, brokerPid, payloadBytes } = options
  const run = new Run(sessions, sessions)
  let lastMs = 0
  run.onDelivery = (_publisher, _sequence, atMs) => {
    lastMs = atMs
  }
  const expected = stored.acknowledgedOf.reduce((sum, value) => sum + value, 0)
  const subscribers: Subscriber[] = []
  let sessionsMissing = 0
  const watch = new UsageWatch(brokerPid)
  const startMs = performance.now()
  lastMs = startMs
  await withinSetUpTime(
    inParallel(sessions, CONNECTING_MAX, async (index) => {
      run.ledger.expect(index, index)
      const subscriber = new Subscriber(run, { level, index, payloadBytes })
      subscribers[index] = subscriber
      await connect(subscriber, endpoint, sessionName(index), "kept")
      if (!subscriber.sessionPresent) sessionsMissing++
    }),
    SET_UP_MS_MAX
  )
  const connectedMs = performance.now()
  while (run.ledger.delivered < expected && performance.now() - Math.max(lastMs, connectedMs) < quietMs) {
    await sleep(LOOK_MS)
  }
  const used = watch.end()
  const observedSeconds = (performance.now() - startMs) / 1000
  // What comes twice comes late: leave it a moment before counting.
  await sleep(200)
  const { ledger } = run
  // Of each session what was acknowledged and did not come; what came unacknowledged does not make up for it.
  let lost = 0
  stored.acknowledgedOf.forEach((acknowledged, index) => {
    lost += Math.max(0, acknowledged - (ledger.deliveredOf[index] as number))
  })
  const seconds = Math.max(lastMs - startMs, LOOK_MS) / 1000
  const broken = subscribers.filter((subscriber) => subscriber.isBroken || subscriber.malformed > 0).length
  for (const subscriber of subscribers) subscriber.close(disconnectFrame())
  return {
    messages: ledger.delivered,
    seconds,
    perSecond: ledger.delivered / seconds,
    ...costsOf(used, ledger.delivered, observedSeconds),
    brokerRssMiB: used.rssMiB,
    expected,
    lost,
    duplicates: ledger.duplicates,
    reordered: ledger.reordered,
    stray: ledger.stray,
    corrupt: run.corrupt,
    broken,
    sessionsMissing
  }
}

export function sessionName(index: number): string {
  return `bench-o${index}`
}

/** All of one length, so that the frames of a block have one. */
export function topicNameOf(index: number): string {
  return `bench/o${String(index).padStart(7, "0")}`
}
