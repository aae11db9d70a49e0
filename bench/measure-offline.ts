/** Offline store and drain: two runs of the driver, the broker left alone or killed in between. */
import type { Drained, Stored } from "./driver/offline.ts"
import type { Report } from "./driver/report.ts"
import type { Attempt } from "./measure.ts"
import type { Offline } from "./scenarios.ts"

/** Resolves with one report: its rate is that of the drain, its verdict covers both phases. */
export async function measureOffline(attempt: Attempt, scenario: Offline): Promise<Report> {
  const { payloadBytes, secondsMax } = scenario
  let running = await attempt.broker.start(attempt.folder)
  try {
    const common = { scenario, payloadBytes, seconds: secondsMax }
    const stored = (await attempt.drive(running, { ...common, part: "first" })) as Stored
    if (scenario.between === "kill") {
      await running.kill()
      running = await attempt.broker.start(attempt.folder)
    }
    const drained = (await attempt.drive(running, { ...common, part: "second", stored })) as Drained
    return reportOf(attempt, scenario, stored, drained)
  } finally {
    await running.stop()
  }
}

/** Both phases in one report, without the list that only the drain needs. */
function reportOf({ options }: Attempt, scenario: Offline, stored: Stored, drained: Drained): Report {
  const { acknowledgedOf: _, ...store } = stored
  return {
    scenario: scenario.name,
    level: options.level,
    qos: 1,
    payloadBytes: scenario.payloadBytes,
    publishers: scenario.publishers,
    subscribers: scenario.sessions,
    seconds: drained.seconds,
    perSecond: drained.perSecond,
    sentPerSecond: store.perSecond,
    acknowledgedPerSecond: store.perSecond,
    brokerMicrosPerMessage: store.brokerMicrosPerMessage + drained.brokerMicrosPerMessage,
    brokerShare: drained.brokerShare,
    driverShare: Math.max(store.driverShare, drained.driverShare),
    brokerRssMiB: Math.max(store.brokerRssMiB, drained.brokerRssMiB),
    brokerRssMiBBefore: 0,
    verdict: {
      sent: store.messages,
      delivered: drained.messages,
      acknowledged: store.messages,
      lost: drained.lost,
      duplicates: drained.duplicates,
      reordered: drained.reordered,
      stray: drained.stray,
      corrupt: drained.corrupt,
      refused: store.refused,
      unexpectedAcknowledgements: 0,
      unacknowledged: 0,
      broken: store.broken + drained.broken,
      stalls: 0
    },
    behind: scenario.sessions * scenario.messagesEach - store.messages,
    sessionsMissing: drained.sessionsMissing,
    store,
    drain: drained
  }
}
