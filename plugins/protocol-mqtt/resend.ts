/** A message that an earlier connection of its session was sent and has not acknowledged: once more, with DUP [MQTT-4.4.0-1]. */
import type { Message } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { copyFrame } from "./PublishEncoder.ts"

/** Whether it is larger than the client takes was asked before; no topic alias is used, for the client has not been told of any. */
export function resendPublish(
  connection: Connection,
  message: Message,
  qos: number,
  retain: boolean,
  identifiers: ReadonlyArray<number>,
  packetIdentifier: number
): void {
  const { broker, version, output } = connection
  const nowMs = broker.services.clock.nowMs()
  const frame = broker.encoder.encode(message, version, qos, retain, true, identifiers, nowMs)
  const position = connection.reserve(frame.end - frame.start)
  copyFrame(frame, output.bytes, position, packetIdentifier)
  broker.counts.publishSent += 1
}
