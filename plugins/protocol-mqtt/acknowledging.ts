/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP from a client: what each means for its session.
 *
 * Invariants
 *  - Only what a message in flight waits for moves it on. Another acknowledgement of it belies its QoS or how far it is: a Protocol
 *    Error (section 1.2), which ends the connection [MQTT-4.13.1-1], [MQTT-4.8.0-1 of 3.1.1]; the message goes to the next one.
 *  - What acknowledges an identifier that is not in use changes nothing and ends no connection: PUBREL and PUBREC are answered, so that
 *    the client can go on, PUBACK and PUBCOMP are not.
 *
 * Source: MQTT 5.0 sections 3.4 to 3.7, 4.3; MQTT 3.1.1 the same.
 */
import type { Connection } from "./Connection.ts"
import { AWAITS_PUBACK, AWAITS_PUBCOMP, AWAITS_PUBREC } from "./OutboundWindow.ts"
import * as Reason from "./reasons.ts"
import type { Session } from "./Session.ts"
import { AcknowledgementView, scanAcknowledgement } from "./wire/acknowledgements.ts"
import * as Packet from "./wire/packet-types.ts"
import { PROTOCOL_ERROR } from "./wire/reason-codes.ts"

const acknowledgement = new AcknowledgementView()

/** Takes one of the four; `bytes[start, end)` follows its fixed header. 0 or the Reason Code that ends the connection. */
export function receiveAcknowledgement(
  connection: Connection,
  session: Session,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  const fault = scanAcknowledgement(bytes, type, start, end, connection.version, acknowledgement)
  if (fault !== 0) return fault
  const { packetIdentifier, reasonCode } = acknowledgement
  if (type === Packet.PUBREL) {
    session.release(packetIdentifier, connection.answers)
    return 0
  }
  const { window } = session
  const state = window?.stateOf(packetIdentifier) ?? 0
  if (type === Packet.PUBREC) {
    if (state === AWAITS_PUBACK) return PROTOCOL_ERROR
    if (window !== undefined && state === AWAITS_PUBREC) {
      if (reasonCode >= 0x80) connection.broker.slow?.acknowledged(connection, packetIdentifier)
      if (reasonCode >= 0x80) session.freed(packetIdentifier)
      else session.released(packetIdentifier)
    } else if (state === AWAITS_PUBCOMP) session.releasedAgain(packetIdentifier)
    else if (reasonCode < 0x80) {
      connection.answers.send(Packet.PUBREL, packetIdentifier, Reason.PACKET_IDENTIFIER_NOT_FOUND)
    }
    return 0
  }
  const expected = type === Packet.PUBACK ? AWAITS_PUBACK : AWAITS_PUBCOMP
  if (state === expected) connection.broker.slow?.acknowledged(connection, packetIdentifier)
  if (state === expected) session.freed(packetIdentifier)
  else if (state !== 0) return PROTOCOL_ERROR
  return 0
}
