import type { Mutant } from "./mutant.ts"

const TYPES = "plugins/protocol-mqtt/wire/packet-types.ts"
const SUBSCRIBING = "plugins/protocol-mqtt/subscribing.ts"
const SESSION = "plugins/protocol-mqtt/Session.ts"
const SUBSCRIBING_SESSION = "plugins/protocol-mqtt/SubscribingSession.ts"
const TABLE = "core/router/SubscriptionTable.ts"
const SUBSCRIBE = "plugins/protocol-mqtt/wire/subscribe.ts"
const UNSUBSCRIBE = "plugins/protocol-mqtt/wire/unsubscribe.ts"
const TREE = "core/router/WildcardTree.ts"
const GROUP = "plugins/protocol-mqtt/shared/SharedGroup.ts"

export const subscribeMutants: ReadonlyArray<Mutant> = [
  {
    statements: ["MQTT-3.8.1-1"],
    file: TYPES,
    find: 'name: "SUBSCRIBE", flags: 2,',
    replace: 'name: "SUBSCRIBE", flags: 10,'
  },
  {
    statements: ["MQTT-3.8.3-1", "MQTT-3.10.3-1"],
    file: "plugins/protocol-mqtt/wire/PacketCursor.ts",
    find: "if (!isMqttString(this.bytes, this.blockStart, this.blockEnd)) {",
    replace: "if (!isMqttString(this.bytes, this.blockStart, this.blockStart)) {"
  },
  {
    statements: ["MQTT-3.8.3-2", "MQTT-3.8.3-3 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/requests.ts",
    find: "if (cursor.reasonCode === 0 && cursor.atEnd) cursor.fail(PROTOCOL_ERROR)",
    replace: ""
  },
  {
    statements: ["MQTT-3.10.3-2"],
    file: "plugins/protocol-mqtt/wire/requests.ts",
    find: "if (cursor.reasonCode === 0 && cursor.atEnd) cursor.fail(PROTOCOL_ERROR)",
    replace: "if (cursor.reasonCode === 0 && cursor.atEnd && packetType === 8) cursor.fail(PROTOCOL_ERROR)"
  },
  {
    statements: ["MQTT-3.8.3-2 of 3.1.1"],
    file: SUBSCRIBING,
    find: "if (checkTopicFilter(wanted) !== 0) return TOPIC_FILTER_INVALID",
    replace: 'if (checkTopicFilter(asked) !== 0 || wanted.includes("+")) return TOPIC_FILTER_INVALID'
  },
  {
    statements: ["MQTT-3.8.3-3"],
    file: SESSION,
    find: 'if (delivery.noLocal !== "" && message.publisher === delivery.noLocal) {',
    replace: 'if (delivery.noLocal !== "" && message.publisher === "") {'
  },
  {
    statements: ["MQTT-3.8.3-3"],
    file: "plugins/protocol-mqtt/Feed.ts",
    find: 'const isOwn = delivery !== undefined && delivery.noLocal !== "" && message.publisher === delivery.noLocal',
    replace: 'const isOwn = delivery !== undefined && delivery.noLocal !== "" && message.publisher === ""'
  },
  {
    statements: ["MQTT-3.8.3-4"],
    file: SUBSCRIBE,
    find: "if (noLocal && isSharedFilter(cursor.bytes, blockStart, blockEnd)) cursor.fail(PROTOCOL_ERROR)",
    replace: "if (noLocal && isSharedFilter(cursor.bytes, blockEnd, blockEnd)) cursor.fail(PROTOCOL_ERROR)"
  },
  {
    statements: ["MQTT-3.8.3-5"],
    file: SUBSCRIBE,
    find: "const RESERVED_OPTIONS = 0xc0",
    replace: "const RESERVED_OPTIONS = 0x80"
  },
  {
    statements: ["MQTT-3.8.3-4 of 3.1.1"],
    file: SUBSCRIBE,
    find: "const RESERVED_OPTIONS_BEFORE_5 = 0xfc",
    replace: "const RESERVED_OPTIONS_BEFORE_5 = 0xc0"
  },
  {
    statements: ["MQTT-3.8.4-1"],
    file: SUBSCRIBING,
    find: "connection.answer(frame, ticket, () => {",
    replace: "if (packet.packetIdentifier !== 2) connection.answer(frame, ticket, () => {"
  },
  {
    statements: ["MQTT-3.8.4-2"],
    file: SUBSCRIBE,
    find: "return writeAnswer(target, position, SUBACK, version, packetIdentifier, codes, reasonString)",
    replace: "return writeAnswer(target, position, SUBACK, version, packetIdentifier & 255, codes, reasonString)"
  },
  {
    statements: ["MQTT-3.8.4-3"],
    file: TABLE,
    find: "this.#records.set(known * WORDS + OPTIONS, optionsOf(subscription))",
    replace: "void known"
  },
  {
    statements: ["MQTT-3.8.4-4", "MQTT-3.8.4-3 of 3.1.1"],
    file: SUBSCRIBING,
    find: "wish.retainHandling === 0 || (",
    replace: "(wish.retainHandling === 0 && isNew) || ("
  },
  {
    statements: ["MQTT-3.8.4-5", "MQTT-3.8.4-4 of 3.1.1"],
    file: SUBSCRIBING,
    find: "for (const wish of wishes) {",
    replace: "for (const wish of wishes.toReversed()) {"
  },
  {
    statements: ["MQTT-3.8.4-6", "MQTT-3.8.4-5 of 3.1.1"],
    file: SUBSCRIBING,
    find: "writeSuback(frame, 0, version, packetIdentifier, codes, reason)",
    replace: "writeSuback(frame, 0, version, packetIdentifier, [...new Set(codes)], reason)"
  },
  {
    statements: ["MQTT-3.8.4-7"],
    file: SUBSCRIBING,
    find: "ticket = Math.max(ticket, made.ticket)\n    codes.push(qos)",
    replace: "ticket = Math.max(ticket, made.ticket)\n    codes.push(0)"
  },
  {
    statements: ["MQTT-3.8.4-8", "MQTT-3.8.4-6 of 3.1.1"],
    file: "plugins/protocol-mqtt/RetainedReplays.ts",
    find: "const qos = Math.min(message.qos, subscription.qos)",
    replace: "const { qos } = message"
  },
  {
    statements: ["MQTT-3.8.4-8", "MQTT-3.8.4-6 of 3.1.1"],
    file: SESSION,
    find: "const qos = message.qos < delivery.qos ? message.qos : delivery.qos",
    replace: "const { qos } = message"
  },
  {
    statements: ["MQTT-3.8.4-8", "MQTT-3.8.4-6 of 3.1.1"],
    file: "plugins/protocol-mqtt/Feed.ts",
    find: "const qos = Math.min(message.qos, rest.qos)",
    replace: "const { qos } = message"
  },
  {
    statements: ["MQTT-3.9.2-1"],
    file: SUBSCRIBING,
    find: "subackSize(5, codes.length, reason) <= connection.packetSizeMax",
    replace: "subackSize(5, codes.length, reason) > 0"
  },
  {
    statements: ["MQTT-3.9.3-1"],
    file: SUBSCRIBING,
    find: "writeSuback(frame, 0, version, packetIdentifier, codes, reason)",
    replace: "writeSuback(frame, 0, version, packetIdentifier, codes.toSorted(), reason)"
  },
  {
    statements: ["MQTT-3.9.3-2"],
    file: SUBSCRIBING,
    find: "codes.push(connection.version === 5 ? refusal : FAILURE_BEFORE_5)",
    replace: "codes.push(connection.version === 5 ? refusal + 1 : FAILURE_BEFORE_5)"
  },
  {
    statements: ["MQTT-3.10.1-1"],
    file: TYPES,
    find: 'name: "UNSUBSCRIBE", flags: 2,',
    replace: 'name: "UNSUBSCRIBE", flags: 10,'
  },
  {
    statements: ["MQTT-3.10.4-1"],
    file: SUBSCRIBING_SESSION,
    find: "return this.hasSubscription(name) && this.asked?.has(name) !== true ? name : undefined",
    replace: "return this.hasSubscription(name.toLowerCase()) ? name.toLowerCase() : undefined"
  },
  {
    statements: ["MQTT-3.10.4-2"],
    file: SUBSCRIBING_SESSION,
    find: "this.broker.services.router.unsubscribeUnsafe(subscription)\n    this.exclusive",
    replace: "this.exclusive"
  },
  {
    statements: ["MQTT-3.10.4-3"],
    file: SUBSCRIBING_SESSION,
    find: "this.apart?.delete(filter)\n    this.replays",
    replace: "this.window?.forEach((each) => this.window?.free(each))\n    this.apart?.delete(filter)\n    this.replays"
  },
  {
    statements: ["MQTT-3.10.4-4", "MQTT-3.10.4-5"],
    file: SUBSCRIBING,
    find: "connection.answer(frame, 0, undefined)",
    replace: "if (!codes.includes(NO_SUBSCRIPTION_EXISTED)) connection.answer(frame, 0, undefined)"
  },
  {
    statements: ["MQTT-3.10.4-4 of 3.1.1", "MQTT-3.10.4-5 of 3.1.1"],
    file: UNSUBSCRIBE,
    find: "const codes = version === 5 ? reasonCodes : NO_CODES",
    replace: "const codes = version === 5 ? NO_CODES : reasonCodes"
  },
  {
    statements: ["MQTT-3.10.4-6"],
    file: UNSUBSCRIBE,
    find: "while (!cursor.atEnd) {",
    replace: "while (!cursor.atEnd && filters.length < 2) {"
  },
  {
    statements: ["MQTT-3.11.3-1"],
    file: SUBSCRIBING,
    find: "writeUnsuback(frame, 0, version, packet.packetIdentifier, codes)",
    replace: "writeUnsuback(frame, 0, version, packet.packetIdentifier, codes.toSorted())"
  },
  {
    statements: ["MQTT-3.11.3-2"],
    file: SUBSCRIBING,
    find: "return NO_SUBSCRIPTION_EXISTED",
    replace: "return 0x80"
  },
  {
    statements: ["MQTT-3.12.4-1"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "this.answer(PINGRESP_FRAME, 0, undefined)",
    replace: "if (this.version === 5) this.answer(PINGRESP_FRAME, 0, undefined)"
  },
  {
    statements: ["MQTT-4.7.1-1", "MQTT-4.7.1-2 of 3.1.1"],
    file: TREE,
    find: "if (at === name.length) return index < length && tails.unit(tail, index) === HASH",
    replace: "if (at === name.length) return false"
  },
  {
    statements: ["MQTT-4.7.1-1", "MQTT-4.7.1-2 of 3.1.1"],
    file: TREE,
    find: "if (multi > 0 && mayWild) out",
    replace: "if (multi > 0 && mayWild && start >= 0) out"
  },
  {
    statements: ["MQTT-4.7.1-2", "MQTT-4.7.1-3 of 3.1.1"],
    file: TREE,
    find: "if (plus !== NONE && mayWild) {",
    replace: "if (plus !== NONE && depth > 0) {"
  },
  {
    statements: ["MQTT-4.7.2-1"],
    file: TREE,
    find: "const mayWild = depth > 0 || !isDollar",
    replace: "const mayWild = depth >= 0 || !isDollar"
  },
  {
    statements: ["MQTT-4.7.3-1"],
    file: "plugins/protocol-mqtt/wire/publish.ts",
    find: "if (topicStart === topicEnd && view.topicAlias === ABSENT) return PROTOCOL_ERROR",
    replace: ""
  },
  {
    statements: ["MQTT-4.7.3-2"],
    file: "core/router/utf8.ts",
    find: "if (byte === 0) return false",
    replace: "if (byte > 0x7f) return false"
  },
  {
    statements: ["MQTT-4.7.3-3"],
    file: "core/router/topic-filter.ts",
    find: "export const TOPIC_BYTES_MAX = 65_535",
    replace: "export const TOPIC_BYTES_MAX = 65_534"
  },
  {
    statements: ["MQTT-4.7.3-4"],
    file: "plugins/protocol-mqtt/wire/utf8.ts",
    find: "{ fatal: true, ignoreBOM: true }",
    replace: "{ fatal: true, ignoreBOM: false }"
  },
  {
    statements: ["MQTT-4.8.2-1"],
    file: "plugins/protocol-mqtt/shared/Memberships.ts",
    find: "return filter.startsWith(SHARE_PREFIX)",
    replace: "return filter.startsWith(SHARE_PREFIX.slice(0, 6))"
  },
  {
    statements: ["MQTT-4.8.2-3"],
    file: GROUP,
    find: "const qos = Math.min(message.qos, member.qos)",
    replace: "const { qos } = message"
  },
  {
    statements: ["MQTT-4.8.2-4"],
    file: "plugins/protocol-mqtt/Flights.ts",
    find: "if (state !== AWAITS_PUBCOMP) this.#unsent.push(identifier)",
    replace: "if (state !== AWAITS_PUBCOMP) void identifier"
  },
  {
    statements: ["MQTT-4.8.2-5"],
    file: "plugins/protocol-mqtt/TransientSession.ts",
    find: `const identifier = window.take(qos, qos === 1 ? assignment : undefined)
    connection.sendPublish(message, qos, retain, membership.identifiers, broker.services.clock.nowMs(), identifier)
    // Whoever gets QoS 2 from us has it for good [MQTT-4.8.2-5].
    if (qos === 2) broker.shared.kept(assignment)`,
    replace: `const identifier = window.take(qos, assignment)
    connection.sendPublish(message, qos, retain, membership.identifiers, broker.services.clock.nowMs(), identifier)`
  },
  {
    statements: ["MQTT-4.8.2-6"],
    file: "plugins/protocol-mqtt/acknowledging.ts",
    find: "if (state === expected) session.freed(packetIdentifier)",
    replace: "if (state === expected && reasonCode < 0x80) session.freed(packetIdentifier)"
  }
]
