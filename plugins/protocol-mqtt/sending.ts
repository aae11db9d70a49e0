/**
 * PUBLISH to a client: from a message to its bytes in the connection's output.
 *
 * Source: MQTT 5.0 section 3.3; MQTT 3.1.1 the same.
 */
import type { Message } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { copyFrame } from "./PublishEncoder.ts"

/** Writes a PUBLISH; QoS 0 is dropped and counted where the client does not read, or takes none so large: false. */
export function sendPublish(
  connection: Connection,
  message: Message,
  qos: number,
  retain: boolean,
  identifiers: ReadonlyArray<number>,
  nowMs: number,
  packetIdentifier: number
): boolean {
  const { broker, output } = connection
  const frame = broker.encoder.encode(message, connection.version, qos, retain, false, identifiers, nowMs)
  if (connection.outboundAliases?.send(connection, message, frame, qos, packetIdentifier) === true) return true
  const size = frame.end - frame.start
  if (qos === 0) {
    if (!output.fits(size, broker.settings.output_bytes_max)) {
      broker.counts.droppedSlow += 1
      return false
    }
    if (size > connection.packetSizeMax) {
      broker.counts.droppedTooLarge += 1
      return false
    }
  }
  const position = connection.reserve(size)
  copyFrame(frame, output.bytes, position, packetIdentifier)
  broker.counts.publishSent += 1
  return true
}
