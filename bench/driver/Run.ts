/**
 * What the clients of one run share: the ledger, the counters, and the permission to send.
 *
 * Invariant: counters only rise; a measurement is the difference between two snapshots.
 */
import { Ledger } from "./Ledger.ts"
import type { Publisher } from "./Publisher.ts"

/** A moment of the run; differences of two give rates. */
export interface Snapshot {
  readonly atMs: number
  readonly sent: number
  readonly delivered: number
  readonly acknowledged: number
}

export class Run {
  readonly ledger: Ledger
  readonly publishers: Publisher[] = []
  /** PUBLISH frames handed to sockets. */
  sent = 0
  /** QoS 1: PUBACK received by publishers; QoS 2: PUBCOMP received by publishers. */
  acknowledged = 0
  /** QoS 1: PUBACK sent by subscribers; QoS 2: PUBCOMP sent by subscribers. */
  acknowledgementsSent = 0
  /** Acknowledgements for a Packet Identifier that was not open, or in the wrong order. */
  unexpectedAcknowledgements = 0
  /** Acknowledgements with a Reason Code of 0x80 or above. */
  refused = 0
  /** Deliveries whose payload or frame was not what was sent. */
  corrupt = 0
  /** Whether windows may be filled: false until all are connected, and again while the run drains. */
  maySend = false
  /** Time of arrival by publisher and sequence number; the open loop fills in. */
  onDelivery: ((publisher: number, sequence: number, atMs: number) => void) | undefined

  constructor(publishers: number, subscribers: number, ledger = new Ledger(publishers, subscribers)) {
    this.ledger = ledger
  }

  snapshot(): Snapshot {
    return {
      atMs: performance.now(),
      sent: this.sent,
      delivered: this.ledger.delivered,
      acknowledged: this.acknowledged
    }
  }

  /** Lets every publisher go on whose messages have arrived since the last call. */
  resumeTouched(): void {
    for (let index = this.ledger.takeTouched(); index >= 0; index = this.ledger.takeTouched()) {
      this.publishers[index]?.pump()
    }
  }

  /** Everything that was sent has arrived everywhere and is acknowledged. */
  isSettled(): boolean {
    for (const publisher of this.publishers) if (!publisher.isSettled()) return false
    return true
  }
}
