/**
 * The headers that say how a message was published, `mqtt.qos` and `mqtt.retain`, as constant bytes: left out at their defaults
 * (QoS 0, not retained), so that most records carry none.
 */
const NONE = new Uint8Array(0)
const encoder = new TextEncoder()

/** One header in the encoding of Kafka's record v2; both lengths are below 64, so each zig-zag varint is one byte. */
function header(name: string, value: string): Uint8Array {
  const bytes = [name.length * 2, ...encoder.encode(name), value.length * 2, ...encoder.encode(value)]
  return Uint8Array.from(bytes)
}

const QOS = [NONE, header("mqtt.qos", "1"), header("mqtt.qos", "2")] as const
const RETAIN = header("mqtt.retain", "1")
const REGIONS: ReadonlyArray<Uint8Array> = [...QOS, ...QOS.map((qos) => Uint8Array.from([...qos, ...RETAIN]))]

/** The headers region for a published QoS and retain flag. Shared bytes: never written to. */
export function deliveryHeaders(qos: number, retain: boolean): Uint8Array {
  return REGIONS[retain ? qos + 3 : qos] ?? NONE
}

/** How many headers {@link deliveryHeaders} holds. */
export function deliveryHeadersCount(qos: number, retain: boolean): number {
  return (qos > 0 ? 1 : 0) + (retain ? 1 : 0)
}
