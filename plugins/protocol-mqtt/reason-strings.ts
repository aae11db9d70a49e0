/**
 * What a Reason Code means here, for whoever reads a client's log. Said in CONNACK and DISCONNECT always, elsewhere unless the client has set
 * Request Problem Information to 0 [MQTT-3.1.2-29], and nowhere where the packet would be larger than the client takes [MQTT-3.2.2-19],
 * [MQTT-3.4.2-2], [MQTT-3.9.2-1], [MQTT-3.14.2-3]. A version that we do not know gets the shortest CONNACK: how it reads properties is not
 * known either.
 */
const TEXTS: ReadonlyMap<number, string> = new Map([
  [0x80, "the broker could not do it; try again"],
  [0x81, "a packet was not formed as MQTT has it"],
  [0x82, "a packet was not allowed where it came"],
  [0x85, "the client identifier is missing or too long"],
  [0x87, "the client may not do this, or its credentials are wrong"],
  [0x8a, "the client, its user or its address is on the blacklist"],
  [0x8b, "the broker stops; connect again in a moment"],
  [0x8c, "SCRAM-SHA-256 is the only method, where users of it are configured"],
  [0x8d, "nothing came in one and a half times the keep alive"],
  [0x8e, "another connection has the same client identifier"],
  [0x8f, "the topic filter is not valid, or longer or deeper than is allowed"],
  [0x90, "the topic name is not valid, or longer or deeper than is allowed"],
  [0x93, "more messages are unacknowledged than the Receive Maximum of the CONNACK"],
  [0x94, "the topic alias is 0, not set, or above the Topic Alias Maximum of the CONNACK"],
  [0x95, "the packet is larger than is allowed; before CONNECT that is 64 KiB"],
  [0x97, "a limit of the broker is reached"],
  [0x98, "an administrator has ended the connection"],
  [0x9c, "the broker stops; connect to the Server Reference"],
  [0x9e, "shared subscriptions are turned off"],
  [0x9f, "too many clients connect at once; try again in a moment"]
])

/** What to say of a Reason Code; undefined where it needs no words. */
export function reasonStringOf(reasonCode: number): string | undefined {
  return TEXTS.get(reasonCode)
}
