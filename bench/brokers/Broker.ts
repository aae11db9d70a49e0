/**
 * A broker under measurement: how it is started, where it listens, how its topics are stored, what its answers promise.
 *
 * Each measurement starts a fresh process in a fresh folder: no run inherits the memory or topics of another. Scenarios that
 * restart a broker start it a second time in the folder of the first.
 */
import type { CertificateFiles } from "./certificate.ts"

export interface RunningBroker {
  readonly pid: number
  readonly port: number
  /** From the start of the process until it said that it is ready, or took connections where it says nothing. */
  readonly readyMs: number
  /** Where its metrics are read, for brokers whose journal can be counted. */
  readonly metricsUrl?: string
  /** Asks the process to end; resolves when it has. */
  stop(): Promise<void>
  /** Ends the process as a crash does (SIGKILL). */
  kill(): Promise<void>
}

export interface Broker {
  readonly name: string
  /** Engine and mode of the topics that the run publishes to, as every row names them. */
  readonly storage: string
  /** What has happened to a QoS 1 message when its PUBACK comes, in one line. */
  readonly promise: string
  /** Whether sessions and what waits for them are there again after a restart. */
  readonly survives: "nothing" | "a stop" | "a kill"
  /** True where a message that nobody wants is not stored: durable publishing is then measured with a session that waits. */
  readonly storesForSubscribersOnly: boolean
  /** Whether it can be started with a certificate. */
  readonly hasTls?: boolean
  /** The settings that differ from a new installation, or the whole file: shown beside the figures. */
  settings(): readonly string[]
  /** Why it cannot be measured here, or undefined where it can. */
  missing(): string | undefined
  /** Version or build, for the head of the table. */
  about(): string
  /**
   * Starts it; all that it writes lies in `folder`, which is the caller's to remove. `topicNames` will be published to: a broker
   * that wants its topics declared declares one for each, one for all below `bench/` where none are named; others need not look.
   * With `certificate` its port is one for MQTT over TLS; only brokers that have TLS are asked.
   */
  start(folder: string, topicNames?: readonly string[], certificate?: CertificateFiles): Promise<RunningBroker>
}
