/** The figures that only one kind of scenario has, as parts of its report. Latencies in microseconds, memory in MiB. */
import type { Percentiles } from "./report.ts"

/** Many subscriptions in one broker. */
export interface SubscriptionFigures {
  readonly granted: number
  /** Growth of the broker's memory in bytes a subscription. */
  readonly bytesEach: number
  /** Messages that came, of one to each client. */
  readonly arrived: number
  /** Latency of the pair beside before the first SUBSCRIBE; the report's own latency is that during them. */
  readonly quiet: Percentiles
}

/** A closed loop with and without clients that subscribe beside it; the report's own rate and CPU are those with them. */
export interface LoadFigures {
  /** Delivered messages a second, and the broker's CPU microseconds each, without. */
  readonly perSecondWithout: number
  readonly brokerMicrosWithout: number
  /** 1 - with / without, the median over pairs of turns; below 0 where it was faster with them. */
  readonly cost: number
  /** SUBSCRIBEs a second, and as many UNSUBSCRIBEs, that were sent. */
  readonly subscribesPerSecond: number
}

/** Connections over TLS that stay; the report's own rate and latency are those of connections that come and go. */
export interface TlsFigures {
  readonly idle: number
  /** Growth of the broker's memory in KiB a connection. */
  readonly kibEach: number
}

/** Clients that came and went on a schedule. */
export interface ChurnFigures {
  /** Growth of the broker's memory over all visits, both times after a rest. */
  readonly growthMiB: number
  /** Connections that the broker did not close after a DISCONNECT. */
  readonly leftOpen: number
}

/** A client that asked for all retained messages. */
export interface RetainedFigures {
  readonly messages: number
  /** Payloads and topic names of all of them. */
  readonly dataMiB: number
  /** Growth of the broker's memory over publishing them. */
  readonly growthMiB: number
  /** PUBACKs a second while they were published. */
  readonly publishedPerSecond: number
  /** From SUBSCRIBE to the first retained message: the median over the clients, and the slowest. */
  readonly firstMs: number
  readonly firstMsMax: number
  /** From SUBSCRIBE to the last retained message, median. */
  readonly allMs: number
  /** Latency of the pair beside while nothing else happened; the report's own latency is that during the deliveries. */
  readonly quiet: Percentiles
}
