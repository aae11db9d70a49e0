/**
 * What a fleet of devices does beside sending messages: it comes and goes, stays, subscribes, and asks for what was retained.
 *
 * Each kind has its sizes here, full and quick; what it verifies stands in its file in `driver/`.
 */

/** A device tree of messages that are retained, or that a topic stores, and clients that ask for all of it. */
export interface Retained {
  readonly kind: "retained"
  /** Stored and replayed (`$replay/earliest/...`), which only Manifold does, and none of them retained. */
  readonly isReplay: boolean
  readonly name: string
  readonly about: string
  readonly messages: number
  /** Devices of one area: the level above them in the tree. */
  readonly devicesEach: number
  readonly publishers: number
  /** Open messages a publisher. */
  readonly window: number
  /** Clients that ask for all, one after the other. */
  readonly repeats: number
  /** Messages a second of the pair that is watched meanwhile. */
  readonly probeRate: number
  /** Memory is read when the broker has had so long to come to rest. */
  readonly restSeconds: number
  /** What has not come after so long without any message does not come. */
  readonly quietSeconds: number
}

/** Clients that come and go at a fixed rate. */
export interface ConnectChurn {
  readonly kind: "connect-churn"
  readonly name: string
  readonly about: string
  /** Visits a second: connect, CONNACK, DISCONNECT, closed by the broker. */
  readonly rate: number
  /** Measured seconds where nobody says otherwise: long enough that memory which is not given back shows. */
  readonly seconds: number
  /** Visits at a time; what is due beyond it waits, and its latency counts on. */
  readonly inProgressMax: number
  readonly restSeconds: number
}

/** Clients with many filters each. */
export interface Subscriptions {
  readonly kind: "subscriptions"
  readonly name: string
  readonly about: string
  readonly clients: number
  /** Filters of one client, all distinct; every second one with a wildcard. */
  readonly filtersEach: number
  readonly filtersAPacket: number
  /** Clients that subscribe at a time, one packet on its way each. */
  readonly inProgress: number
  /** Messages a second of the pair that is watched meanwhile. */
  readonly probeRate: number
  readonly restSeconds: number
}

/** Publishing at full speed while others subscribe and unsubscribe. */
export interface SubscribeLoad {
  readonly kind: "subscribe-load"
  readonly name: string
  readonly about: string
  readonly publishers: number
  readonly subscribers: number
  /** Open messages a publisher. */
  readonly window: number
  /** Clients that subscribe and unsubscribe. */
  readonly changers: number
  /** SUBSCRIBEs a second over all of them, and as many UNSUBSCRIBEs. */
  readonly rate: number
  /** Filters that stand at a time, over all of them. */
  readonly keep: number
  /** Turns with and turns without; each has this share of the measured seconds. */
  readonly turns: number
}

/** Connections over TLS: some that stay, then others that come and go. */
export interface TlsConnect {
  readonly kind: "tls-connect"
  readonly name: string
  readonly about: string
  readonly inProgress: number
  readonly warmUpConnects: number
  /** Connections that stay. */
  readonly connections: number
  readonly restSeconds: number
}

export type ScaleScenario = TlsConnect | Retained | ConnectChurn | Subscriptions | SubscribeLoad

/** What retained and stored messages are compared by. */
const DEVICE_TREE = {
  kind: "retained",
  messages: 100_000,
  devicesEach: 100,
  publishers: 10,
  window: 1000,
  repeats: 10,
  probeRate: 1000,
  quietSeconds: 10
} as const

export const SCALE_SCENARIOS: readonly ScaleScenario[] = [
  {
    kind: "tls-connect",
    name: "tls-connect",
    about: "TLS 1.3, a full handshake each: 2,000 that stay; then connect, CONNACK, DISCONNECT, 32 at a time",
    inProgress: 32,
    warmUpConnects: 500,
    connections: 2000,
    restSeconds: 3
  },
  {
    kind: "subscribe-load",
    name: "subscribe-load",
    about: "q0-pair, in turns without and with 2,000 other wildcard SUBSCRIBEs and as many UNSUBSCRIBEs a second",
    publishers: 10,
    subscribers: 10,
    window: 1000,
    changers: 10,
    rate: 2000,
    keep: 1000,
    turns: 6
  },
  {
    kind: "subscriptions",
    name: "subscriptions-1m",
    about:
      "1,000 clients with 1,000 filters each, half with a wildcard, 100 a SUBSCRIBE; a QoS 1 pair at 1,000/s beside",
    clients: 1000,
    filtersEach: 1000,
    filtersAPacket: 100,
    inProgress: 8,
    probeRate: 1000,
    restSeconds: 3
  },
  {
    kind: "connect-churn",
    name: "connect-churn",
    about:
      "connect, CONNACK, DISCONNECT, closed by the broker: 5,000/s on a fixed schedule, for 60 s unless told otherwise",
    rate: 5000,
    seconds: 60,
    inProgressMax: 4000,
    restSeconds: 3
  },
  {
    ...DEVICE_TREE,
    name: "replay",
    isReplay: true,
    about:
      "100,000 messages stored in one topic; 10 clients in turn replay all of them, QoS 1; a QoS 1 pair at 1,000/s beside",
    restSeconds: 3
  },
  {
    ...DEVICE_TREE,
    name: "retained",
    isReplay: false,
    about:
      "100,000 retained messages; 10 clients in turn subscribe to all of them, QoS 1; a QoS 1 pair at 1,000/s beside",
    restSeconds: 15
  }
]

/** The same scenario, small enough for a test on a busy machine. */
export function quickScale(scenario: ScaleScenario): ScaleScenario {
  const about = `quick, not for comparison: a small form of "${scenario.about}"`
  switch (scenario.kind) {
    case "tls-connect":
      return { ...scenario, about, warmUpConnects: 50, connections: 100, restSeconds: 0.2 }
    case "subscribe-load":
      return { ...scenario, about, rate: 500, keep: 50, turns: 2 }
    case "subscriptions":
      return { ...scenario, about, clients: 20, restSeconds: 0.2 }
    case "connect-churn":
      return { ...scenario, about, rate: 500, seconds: 0.7, restSeconds: 0.2 }
    case "retained":
      return { ...scenario, about, messages: 2000, repeats: 2, restSeconds: 0.2, quietSeconds: 1 }
  }
}
