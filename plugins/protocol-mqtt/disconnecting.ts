/**
 * DISCONNECT, from a client and to one.
 *
 * Source: MQTT 5.0 section 3.14.
 */
import type { Connection } from "./Connection.ts"
import type { Session } from "./Session.ts"
import { decodeDisconnect, disconnectSize, writeDisconnect } from "./wire/disconnect.ts"
import { DISCONNECT } from "./wire/packet-types.ts"
import { PROTOCOL_ERROR } from "./wire/reason-codes.ts"
import { Refusal } from "./wire/refusal.ts"

/** Takes what a client says at its end: why, and for how long its session stays. Returns 0, or the Reason Code of a fault. */
export function takeDisconnect(
  connection: Connection,
  session: Session,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  const packet = decodeDisconnect(bytes, start, end, connection.version)
  if (packet instanceof Refusal) return packet.reasonCode
  if (packet.sessionExpiryInterval >= 0) {
    if (connection.client.sessionExpiry === 0 && packet.sessionExpiryInterval > 0) return PROTOCOL_ERROR
    session.expiryInterval = Math.min(packet.sessionExpiryInterval, connection.broker.settings.session_expiry_max)
  }
  connection.endReason = packet.reasonCode
  return 0
}

/** Tells a client of version 5 why its connection ends, where it takes a packet so large. */
export function sayDisconnect(connection: Connection, reasonCode: number): void {
  const { broker, output, packetSizeMax } = connection
  const options = broker.disconnectOptions(reasonCode, packetSizeMax)
  const size = disconnectSize(reasonCode, options)
  if (size > packetSizeMax) return
  const position = output.reserve(size)
  writeDisconnect(output.bytes, position, reasonCode, options)
  broker.counts.sent(DISCONNECT)
}
