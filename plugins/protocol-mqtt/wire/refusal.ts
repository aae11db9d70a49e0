/**
 * What a decoder returns instead of a packet: why it was refused.
 *
 * Source: MQTT 5.0, section 4.13 (handling errors); MQTT 3.1.1, section 4.8.
 */
import { MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"

export class Refusal {
  /** The Reason Code of MQTT 5 that says why, whatever version the client speaks: for DISCONNECT, logs and counters. */
  readonly reasonCode: number

  constructor(reasonCode: number) {
    this.reasonCode = reasonCode
  }
}

/** The two most frequent ones, made once. */
export const MALFORMED_REFUSAL = new Refusal(MALFORMED_PACKET)
export const PROTOCOL_ERROR_REFUSAL = new Refusal(PROTOCOL_ERROR)
