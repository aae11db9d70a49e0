/**
 * Tables of malformed and forbidden MQTT packets and filters, with the Reason Codes that may answer each.
 *
 * Source: MQTT 5.0 sections 1.5, 2.1, 3 and 4.7; what brokers were seen to get wrong.
 */
import {
  encode,
  field,
  type Properties,
  type PropertyName,
  type PropertyValue,
  packet,
  properties,
  two,
  type Version
} from "./mqtt-packets.ts"
import { fromHex } from "./raw-mqtt.ts"

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const EITHER = [MALFORMED, PROTOCOL_ERROR]

const twice = (name: PropertyName, value: PropertyValue): Properties => [
  [name, value],
  [name, value]
]
const connecting = (...list: Properties): Uint8Array => encode.connect({ version: 5, clientId: "x", properties: list })
const publishing = (...list: Properties): Uint8Array => encode.publish(5, { topic: "a", properties: list })
/** A version 5 CONNECT with these connect flags and these parts after its empty properties. */
const connect5 = (flags: number, ...parts: ReadonlyArray<Uint8Array>): Uint8Array =>
  packet(0x10, field("MQTT"), Uint8Array.of(5, flags), two(0), properties([]), ...parts)

/** A first packet, the version it speaks, and the codes a CONNACK may carry; the connection always ends. */
export const FIRST: ReadonlyArray<readonly [string, Version, Uint8Array, ReadonlyArray<number>]> = [
  ["a PUBLISH before CONNECT", 4, encode.publish(4, { topic: "a" }), []],
  ["a PINGREQ before CONNECT", 4, fromHex("c000"), []],
  ["type 0", 4, fromHex("0000"), []],
  ["a Remaining Length of five bytes", 4, fromHex("10 ff ff ff ff 7f"), []],
  ["a PUBLISH of 256 MiB", 4, fromHex("30 ff ff ff 7f 00 01 61"), []],
  ["a CONNECT of 256 MiB", 4, fromHex("10 ff ff ff 7f 00 04 4d 51 54 54 04 02"), []],
  ["CONNECT with reserved fixed header flags", 4, fromHex("11 0d 0004 4d515454 04 02 0000 0001 61"), []],
  ["CONNECT with the reserved connect flag", 4, fromHex("10 0d 0004 4d515454 04 03 0000 0001 61"), []],
  ["an unknown protocol name", 4, packet(0x10, field("HTTP"), Uint8Array.of(4, 2), two(0), field("x")), [1]],
  ["will QoS 3", 5, connect5(0x1e, field("x"), properties([]), field("w"), field("")), EITHER],
  ["will QoS without a will", 5, connect5(0x0a, field("x")), EITHER],
  ["will retain without a will", 5, connect5(0x22, field("x")), EITHER],
  [
    "3.1.1: a password without a user name",
    4,
    packet(0x10, field("MQTT"), Uint8Array.of(4, 0x42), two(0), field("x"), field("pw")),
    [4, 5]
  ],
  [
    "a client identifier past the packet's end",
    4,
    packet(0x10, field("MQTT"), Uint8Array.of(4, 2), two(0), fromHex("ffff 61")),
    []
  ],
  ["bytes after the last field", 5, connect5(2, field("x"), fromHex("00")), EITHER],
  ["U+0000 in the client identifier", 5, encode.connect({ version: 5, clientId: "a\0b" }), [MALFORMED, 0x85]],
  ["bad UTF-8 in the client identifier", 5, connect5(2, field(fromHex("c328"))), [MALFORMED, 0x85]],
  ["a surrogate in the client identifier", 5, connect5(2, field(fromHex("eda080"))), [MALFORMED, 0x85]],
  [
    "a will topic with a wildcard",
    5,
    encode.connect({ version: 5, clientId: "x", will: { topic: "a/#", payload: "" } }),
    [...EITHER, 0x90]
  ],
  [
    "an empty will topic",
    5,
    encode.connect({ version: 5, clientId: "x", will: { topic: "", payload: "" } }),
    [...EITHER, 0x90]
  ],
  ["receive maximum 0", 5, connecting(["receiveMaximum", 0]), [PROTOCOL_ERROR]],
  ["maximum packet size 0", 5, connecting(["maximumPacketSize", 0]), [PROTOCOL_ERROR]],
  ["receive maximum twice", 5, connecting(...twice("receiveMaximum", 1)), [PROTOCOL_ERROR]],
  ["session expiry twice", 5, connecting(...twice("sessionExpiry", 1)), [PROTOCOL_ERROR]],
  ["request problem information 2", 5, connecting(["requestProblemInformation", 2]), [PROTOCOL_ERROR]],
  ["request response information 2", 5, connecting(["requestResponseInformation", 2]), [PROTOCOL_ERROR]],
  ["authentication data without a method", 5, connecting(["authenticationData", Uint8Array.of(1)]), [PROTOCOL_ERROR]],
  ["a property of another packet", 5, connecting(["topicAlias", 1]), EITHER],
  [
    "an unknown property",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("02 7e 00"), field("x")),
    EITHER
  ],
  [
    "properties past the packet's end",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("ff01"), field("x")),
    EITHER
  ],
  [
    "a property length of five bytes",
    5,
    packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), fromHex("8080808001"), field("x")),
    EITHER
  ],
  [
    "a will property twice",
    5,
    encode.connect({ version: 5, clientId: "x", will: { topic: "w", payload: "", properties: twice("willDelay", 1) } }),
    [PROTOCOL_ERROR]
  ]
]

/** A packet after an accepted version 5 CONNECT, and the codes its DISCONNECT may carry. */
export const LATER: ReadonlyArray<readonly [string, Uint8Array, ReadonlyArray<number>]> = [
  ["a second CONNECT", encode.connect({ version: 5, clientId: "again" }), [PROTOCOL_ERROR]],
  ["a CONNACK from a client", fromHex("20 03 00 00 00"), EITHER],
  ["a SUBACK from a client", fromHex("90 04 0001 00 00"), EITHER],
  ["a PINGRESP from a client", fromHex("d0 00"), EITHER],
  ["type 0", fromHex("00 00"), EITHER],
  ["AUTH without an authentication method", fromHex("f0 00"), EITHER],
  ["PINGREQ with flags", fromHex("c1 00"), [MALFORMED]],
  ["PINGREQ with a body", fromHex("c0 01 00"), [MALFORMED]],
  ["SUBSCRIBE with flags 0", fromHex("80 06 0001 00 0001 61"), [MALFORMED]],
  ["UNSUBSCRIBE with flags 0", fromHex("a0 06 0001 00 0001 61"), [MALFORMED]],
  ["PUBREL with flags 0", fromHex("60 02 0001"), [MALFORMED]],
  ["PUBACK with flags", fromHex("41 02 0001"), [MALFORMED]],
  ["DISCONNECT with flags", fromHex("e1 00"), [MALFORMED]],
  ["a Remaining Length of five bytes", fromHex("30 80 80 80 80 01"), [MALFORMED]],
  ["PUBLISH of 256 MiB", fromHex("30 ff ff ff 7f 0001 61"), [0x95, MALFORMED]],
  ["QoS 3", fromHex("36 06 0001 61 0001 00"), [MALFORMED]],
  ["DUP with QoS 0", fromHex("38 04 0001 61 00"), EITHER],
  ["PUBLISH with packet identifier 0", fromHex("32 06 0001 61 0000 00"), EITHER],
  ["PUBLISH that ends in its topic name", fromHex("30 03 0005 61"), [MALFORMED]],
  ["PUBLISH without its packet identifier", fromHex("32 03 0001 61"), [MALFORMED]],
  ["an empty PUBLISH", fromHex("30 00"), [MALFORMED]],
  ["PUBLISH to a/+", encode.publish(5, { topic: "a/+" }), [...EITHER, 0x90]],
  ["PUBLISH to #", encode.publish(5, { topic: "#" }), [...EITHER, 0x90]],
  ["PUBLISH to an empty topic without alias", encode.publish(5, { topic: "" }), [PROTOCOL_ERROR, 0x90]],
  ["PUBLISH with U+0000 in the topic", encode.publish(5, { topic: "a\0" }), [MALFORMED, 0x90]],
  ["PUBLISH with bad UTF-8 in the topic", packet(0x30, field(fromHex("fe61")), properties([])), [MALFORMED, 0x90]],
  [
    "PUBLISH with an overlong form in the topic",
    packet(0x30, field(fromHex("c0af")), properties([])),
    [MALFORMED, 0x90]
  ],
  ["PUBLISH with a surrogate in the topic", packet(0x30, field(fromHex("edb080")), properties([])), [MALFORMED, 0x90]],
  ["topic alias 0", publishing(["topicAlias", 0]), [0x94, PROTOCOL_ERROR]],
  ["topic alias twice", publishing(...twice("topicAlias", 1)), [PROTOCOL_ERROR, 0x94]],
  ["payload format twice", publishing(...twice("payloadFormat", 1)), [PROTOCOL_ERROR]],
  ["payload format 2", publishing(["payloadFormat", 2]), EITHER],
  ["message expiry twice", publishing(...twice("messageExpiry", 1)), [PROTOCOL_ERROR]],
  ["content type twice", publishing(...twice("contentType", "x")), [PROTOCOL_ERROR]],
  ["response topic twice", publishing(...twice("responseTopic", "x")), [PROTOCOL_ERROR]],
  ["correlation data twice", publishing(...twice("correlationData", "x")), [PROTOCOL_ERROR]],
  ["a response topic with a wildcard", publishing(["responseTopic", "a/+"]), [...EITHER, 0x90]],
  ["a subscription identifier in PUBLISH", publishing(["subscriptionIdentifier", 1]), EITHER],
  ["session expiry in PUBLISH", publishing(["sessionExpiry", 1]), EITHER],
  ["bad UTF-8 in a user property", packet(0x30, field("a"), fromHex("07 26 0001 ff 0001 61")), [MALFORMED]],
  ["U+0000 in a user property", publishing(["userProperty", ["a\0", "b"]]), [MALFORMED]],
  ["a property cut short", packet(0x30, field("a"), fromHex("02 02 00")), [MALFORMED]],
  ["properties past the packet's end", packet(0x30, field("a"), fromHex("7f")), [MALFORMED]],
  ["a property length that is not the shortest", packet(0x30, field("a"), fromHex("8000")), [MALFORMED]],
  ["PUBACK of one byte", fromHex("40 01 00"), [MALFORMED]],
  ["PUBACK with bytes after its properties", fromHex("40 05 0001 00 00 00"), [MALFORMED]],
  ["PUBREL of one byte", fromHex("62 01 00"), [MALFORMED]],
  ["SUBSCRIBE without a filter", fromHex("82 03 0001 00"), EITHER],
  ["SUBSCRIBE with packet identifier 0", encode.subscribe(5, 0, [{ filter: "a" }]), EITHER],
  ["SUBSCRIBE whose last filter lacks its options", fromHex("82 06 0001 00 0001 61"), EITHER],
  ["SUBSCRIBE with QoS 3", packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(3)), EITHER],
  ["SUBSCRIBE with reserved options", packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(0x40)), EITHER],
  ["SUBSCRIBE with retain handling 3", packet(0x82, two(1), properties([]), field("a"), Uint8Array.of(0x30)), EITHER],
  [
    "subscription identifier 0",
    encode.subscribe(5, 1, [{ filter: "a" }], [["subscriptionIdentifier", 0]]),
    [PROTOCOL_ERROR]
  ],
  [
    "subscription identifier twice",
    encode.subscribe(5, 1, [{ filter: "a" }], twice("subscriptionIdentifier", 1)),
    [PROTOCOL_ERROR]
  ],
  [
    "no local on a shared subscription",
    encode.subscribe(5, 1, [{ filter: "$share/g/a", noLocal: true }]),
    [PROTOCOL_ERROR, 0x9e]
  ],
  ["bad UTF-8 in a filter", packet(0x82, two(1), properties([]), field(fromHex("ff")), Uint8Array.of(0)), [MALFORMED]],
  ["UNSUBSCRIBE without a filter", fromHex("a2 03 0001 00"), EITHER],
  ["UNSUBSCRIBE with packet identifier 0", encode.unsubscribe(5, 0, ["a"]), EITHER],
  ["DISCONNECT with a foreign property", fromHex("e0 05 00 03 23 0001"), EITHER],
  ["random bytes", fromHex("f3 04 ca fe ba be"), EITHER]
]

/** Topic Filters that must not be granted: refused in SUBACK, or the connection ends. */
export const FILTERS: ReadonlyArray<string> = [
  "",
  "a#",
  "a/#/b",
  "#/a",
  "a+",
  "+a",
  "a/b+/c",
  "a/+b",
  "##",
  "++",
  "$share//a",
  "$share/g",
  "$share/g/",
  "$share/g+/a",
  "$share/g#/a"
]
