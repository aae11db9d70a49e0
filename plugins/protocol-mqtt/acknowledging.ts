/**
 * PUBACK, PUBREC, PUBREL and PUBCOMP from a client: what each means for its session.
 *
 * Invariants
 *  - Only what a message in flight waits for moves it on; any other acknowledgement that is well-formed changes nothing, and ends no
 *    connection.
 *  - A PUBREL or PUBREC for an identifier that is not known is answered too, so that the client can go on.
 *
 * Source: MQTT 5.0 sections 3.4 to 3.7, 4.3; MQTT 3.1.1 the same.
 */
import type { Connection } from "./Connection.ts"
import { AWAITS_PUBACK, AWAITS_PUBCOMP, AWAITS_PUBREC } from "./OutboundWindow.ts"
import * as Reason from "./reasons.ts"
import type { Session } from "./Session.ts"
import { AcknowledgementView, scanAcknowledgement } from "./wire/acknowledgements.ts"
import * as Packet from "./wire/packet-types.ts"

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
    if (window !== undefined && state === AWAITS_PUBREC) {
      if (reasonCode >= 0x80) session.freed(packetIdentifier)
      else session.released(packetIdentifier)
    } else if (state === AWAITS_PUBCOMP) session.releasedAgain(packetIdentifier)
    else if (reasonCode < 0x80) {
      connection.answers.send(Packet.PUBREL, packetIdentifier, Reason.PACKET_IDENTIFIER_NOT_FOUND)
    }
    return 0
  }
  const expected = type === Packet.PUBACK ? AWAITS_PUBACK : AWAITS_PUBCOMP
  if (state === expected) session.freed(packetIdentifier)
  return 0
}
