/**
 * Many sessions that only wait: `populate` makes them, each with one subscription; `check` comes back after a restart, asks a
 * sample of them for Session Present and sends each one message.
 */
import type { Restart } from "../scenarios.ts"
import { connect, inParallel, leave, sleep, subscribe, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, targetBlock } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { sessionName, topicNameOf } from "./offline.ts"
import { Run } from "./Run.ts"
import { Subscriber } from "./Subscriber.ts"
import { TimedPublisher } from "./TimedPublisher.ts"
import { Waiting } from "./Waiting.ts"

const CONNECTING_MAX = 128
const POPULATE_MS_MAX = 600_000
/** The sample's messages have this long to arrive. */
const ARRIVE_MS_MAX = 5000
const LOOK_MS = 5

export interface Populated {
  readonly sessions: number
  readonly seconds: number
}

export interface Checked {
  /** Sessions that were looked at. */
  readonly sample: number
  /** Of these, how many the broker no longer knew. */
  readonly sessionsMissing: number
  /** Of these, how many did not get the message that was sent to their subscription. */
  readonly subscriptionsMissing: number
}

export async function populate({ sessions }: Restart, { level, endpoint }: RunOptions): Promise<Populated> {
  const startMs = performance.now()
  const make = async (index: number): Promise<void> => {
    const session = new Waiting(level)
    await connect(session, endpoint, sessionName(index), "kept")
    await subscribe(session, topicNameOf(index), 1)
    await leave(session)
  }
  await withinSetUpTime(inParallel(sessions, CONNECTING_MAX, make), POPULATE_MS_MAX)
  return { sessions, seconds: (performance.now() - startMs) / 1000 }
}

export async function check({ sessions, sample: wanted }: Restart, options: RunOptions): Promise<Checked> {
  const { level, endpoint, payloadBytes } = options
  const sample = Math.min(wanted, sessions)
  const chosen = Array.from({ length: sample }, (_, index) => Math.floor((index * sessions) / sample))
  const run = new Run(sample, sample)
  const subscribers: Subscriber[] = []
  let sessionsMissing = 0
  await withinSetUpTime(
    inParallel(sample, CONNECTING_MAX, async (index) => {
      run.ledger.expect(index, index)
      const subscriber = new Subscriber(run, { level, index, payloadBytes })
      subscribers[index] = subscriber
      await connect(subscriber, endpoint, sessionName(chosen[index] as number), "kept")
      if (!subscriber.sessionPresent) sessionsMissing++
    })
  )
  const targets = chosen.map((session, publisher) => ({ topicName: topicNameOf(session), publisher }))
  const publisher = new TimedPublisher(level, targetBlock({ level, targets, qos: 1, payloadBytes }), 100, () => {})
  await connect(publisher, endpoint, "bench-check")
  publisher.onRoom = () => publisher.send(sample - publisher.sent)
  publisher.onRoom()
  const endMs = performance.now() + ARRIVE_MS_MAX
  while (run.ledger.delivered < sample && performance.now() < endMs) await sleep(LOOK_MS)
  if (publisher.isBroken || publisher.refused > 0) {
    throw new Error(
      `the messages to the sample were not taken: ${publisher.refused} refused, connection ${publisher.isBroken ? "ended" : "open"}`
    )
  }
  for (const peer of [publisher, ...subscribers]) peer.close(disconnectFrame())
  return { sample, sessionsMissing, subscriptionsMissing: sample - run.ledger.delivered }
}
