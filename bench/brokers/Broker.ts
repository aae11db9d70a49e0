/**
 * A broker under measurement: how it is started, where it listens, how its topics are stored.
 *
 * Each measurement starts a fresh process and stops it afterwards: no run inherits the memory or topics of another.
 */
export interface RunningBroker {
  readonly pid: number
  readonly port: number
  /** Ends the process and removes what it wrote; resolves when it has ended. */
  stop(): Promise<void>
}

export interface Broker {
  readonly name: string
  /** Engine and mode of the topics that the run publishes to, as every row names them. */
  readonly storage: string
  /** Why it cannot be measured here, or undefined where it can. */
  missing(): string | undefined
  /** Version or build, for the head of the table. */
  about(): string
  start(): Promise<RunningBroker>
}
