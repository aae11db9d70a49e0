import type { Mutant } from "./mutant.ts"

const PUBLISHING = "plugins/protocol-mqtt/publishing.ts"
const SUBSCRIBING = "plugins/protocol-mqtt/subscribing.ts"
const ENCODER = "plugins/protocol-mqtt/PublishEncoder.ts"
const ANSWERS = "plugins/protocol-mqtt/AnswerLine.ts"
const SESSION = "plugins/protocol-mqtt/Session.ts"
const REPLAYS = "plugins/protocol-mqtt/RetainedReplays.ts"
const PUBLISH = "plugins/protocol-mqtt/wire/publish.ts"
const HEADERS = "plugins/protocol-mqtt/wire/headers.ts"
const PROPERTIES = "plugins/protocol-mqtt/wire/properties.ts"
const TABLE = "plugins/protocol-mqtt/wire/property-table.ts"
const RETAINED = "core/ingress/Retained.ts"
const INGRESS = "core/ingress/ShardIngress.ts"
const DELIVERY = "core/router/Delivery.ts"

export const publishMutants: ReadonlyArray<Mutant> = [
  {
    statements: ["MQTT-3.3.5-2 of 3.1.1"],
    file: "plugins/protocol-mqtt/entering.ts",
    find: "if (isReserved(topic, topicStart, topicEnd)) {",
    replace: "if (topicEnd < 0) {"
  },
  {
    statements: ["MQTT-3.3.5-2 of 3.1.1"],
    file: ANSWERS,
    find: "else if (outcome === REFUSED_NOT_AUTHORIZED) this.send(kind, packetIdentifier, 0)",
    replace: ""
  },
  {
    statements: ["MQTT-3.3.1-1"],
    file: "plugins/protocol-mqtt/resend.ts",
    find: "encode(message, version, qos, retain, true, identifiers, nowMs)",
    replace: "encode(message, version, qos, retain, false, identifiers, nowMs)"
  },
  {
    statements: ["MQTT-3.3.1-2"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "const frame = broker.encoder.encode(message, this.version, qos, retain, false, identifiers, nowMs)",
    replace:
      "const frame = broker.encoder.encode(message, connection.version, qos, retain, qos === 0, identifiers, nowMs)"
  },
  {
    statements: ["MQTT-3.3.1-3"],
    file: PUBLISHING,
    find: "publish.messageExpiryInterval < 0 && !publish.dup",
    replace: "publish.messageExpiryInterval < 0"
  },
  {
    statements: ["MQTT-3.3.1-5"],
    file: INGRESS,
    find: "if (message.retain) this.#parts.retained.setUnsafe(message)",
    replace:
      "if (message.retain && this.#parts.retained.find(message.tenant, message.name) === undefined) this.#parts.retained.setUnsafe(message)"
  },
  {
    statements: ["MQTT-3.3.1-6"],
    file: RETAINED,
    find: "if (message.payloadStart === message.payloadEnd) return this.#clear(tenant, name, key)",
    replace: "if (message.payloadStart === message.payloadEnd) return this.#journal.tickets.issued"
  },
  {
    statements: ["MQTT-3.3.1-7"],
    file: RETAINED,
    find: "if (message.payloadStart === message.payloadEnd) return this.#clear(tenant, name, key)",
    replace: ""
  },
  {
    statements: ["MQTT-3.3.1-8"],
    file: INGRESS,
    find: "if (message.retain) this.#parts.retained.setUnsafe(message)",
    replace: "this.#parts.retained.setUnsafe(message)"
  },
  {
    statements: ["MQTT-3.3.1-9"],
    file: SUBSCRIBING,
    find: "wish.retainHandling === 0 || (",
    replace: "(wish.retainHandling === 0 && isNew) || ("
  },
  {
    statements: ["MQTT-3.3.1-10"],
    file: SUBSCRIBING,
    find: "(wish.retainHandling === 1 && isNew)",
    replace: "wish.retainHandling === 1"
  },
  {
    statements: ["MQTT-3.3.1-11"],
    file: SUBSCRIBING,
    find: "wish.retainHandling === 0 || (",
    replace: "wish.retainHandling !== 1 || ("
  },
  {
    statements: ["MQTT-3.3.1-12"],
    file: SESSION,
    find: "const retain = message.retain && delivery.retainAsPublished",
    replace: "const { retain } = message"
  },
  {
    statements: ["MQTT-3.3.1-12"],
    file: "plugins/protocol-mqtt/Feed.ts",
    find: "message.retain && rest.retainAsPublished",
    replace: "message.retain"
  },
  {
    statements: ["MQTT-3.3.1-13"],
    file: SESSION,
    find: "const retain = message.retain && delivery.retainAsPublished",
    replace: "const retain = delivery.retainAsPublished"
  },
  {
    statements: ["MQTT-3.3.1-8 of 3.1.1"],
    file: REPLAYS,
    find: "session.send(message, qos, true, subscription.identifiers, nowMs)",
    replace: "session.send(message, qos, false, subscription.identifiers, nowMs)"
  },
  {
    statements: ["MQTT-3.3.1-6 of 3.1.1", "MQTT-3.3.1-8 of 3.1.1"],
    file: SUBSCRIBING,
    find: "if (wantsRetained(wish, made.isNew)) replays",
    replace: "if (wantsRetained(wish, made.isNew) && connection.version === 5) replays"
  },
  {
    statements: ["MQTT-3.3.1-7 of 3.1.1"],
    file: INGRESS,
    find: "if (message.retain) this.#parts.retained.setUnsafe(message)",
    replace: "if (message.retain && message.qos > 0) this.#parts.retained.setUnsafe(message)"
  },
  {
    statements: ["MQTT-3.3.1-9 of 3.1.1"],
    file: SESSION,
    find: "const retain = message.retain && delivery.retainAsPublished",
    replace: "const { retain } = message"
  },
  {
    statements: ["MQTT-3.3.1-10 of 3.1.1", "MQTT-3.3.1-11 of 3.1.1"],
    file: RETAINED,
    find: "if (message.payloadStart === message.payloadEnd) return this.#clear(tenant, name, key)",
    replace: ""
  },
  {
    statements: ["MQTT-3.3.1-12 of 3.1.1"],
    file: INGRESS,
    find: "if (message.retain) this.#parts.retained.setUnsafe(message)",
    replace: "this.#parts.retained.setUnsafe(message)"
  },
  {
    statements: ["MQTT-3.3.2-1"],
    file: "core/router/topic-filter.ts",
    find: "if (!isWellFormedUtf8(bytes, start, end)) return TOPIC_NOT_WELL_FORMED",
    replace: "if (!isWellFormedUtf8(bytes, start, start)) return TOPIC_NOT_WELL_FORMED"
  },
  {
    statements: ["MQTT-3.3.2-2", "MQTT-4.7.0-1"],
    file: "core/router/topic-filter.ts",
    find: "if (byte === PLUS || byte === HASH) return NAME_HAS_WILDCARD",
    replace: "if (byte === HASH) return NAME_HAS_WILDCARD"
  },
  {
    statements: ["MQTT-3.3.2-3"],
    file: "core/router/WildcardTree.ts",
    find: "if (name.charCodeAt(at) !== unit) return false",
    replace: "if (name.charCodeAt(at) > unit) return false"
  },
  {
    statements: ["MQTT-3.3.2-4"],
    file: HEADERS,
    find: "writeByteProperty(target, position, Table.PAYLOAD_FORMAT_INDICATOR, value)",
    replace: "writeByteProperty(target, position, Table.PAYLOAD_FORMAT_INDICATOR, 0)"
  },
  {
    statements: ["MQTT-3.3.2-5"],
    file: "plugins/protocol-mqtt/Broker.ts",
    find: "if (expiresAtMs === 0 || expiresAtMs > (nowMs ?? this.services.clock.nowMs())) return false",
    replace: "if (expiresAtMs >= 0) return false"
  },
  {
    statements: ["MQTT-3.3.2-6"],
    file: ENCODER,
    find: "const left = Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000))",
    replace: "const left = headersResult.messageExpiryInterval"
  },
  {
    statements: ["MQTT-3.3.2-7"],
    file: PUBLISHING,
    find: "connection.aliases ??= new TopicAliases()",
    replace: "connection.aliases ??= (connection.broker as { shared?: TopicAliases }).shared ??= new TopicAliases()"
  },
  {
    statements: ["MQTT-3.3.2-8"],
    file: TABLE,
    find: "minimum: 1,\n    outOfRange: TOPIC_ALIAS_INVALID",
    replace: "minimum: 0,\n    outOfRange: TOPIC_ALIAS_INVALID"
  },
  {
    statements: ["MQTT-3.3.2-8"],
    file: "plugins/protocol-mqtt/wire/publish-alias.ts",
    find: "next = writeTwoBytes(target, next + 1, alias)",
    replace: "next = writeTwoBytes(target, next + 1, alias - 1)"
  },
  {
    statements: ["MQTT-3.3.2-11"],
    file: "plugins/protocol-mqtt/OutboundAliases.ts",
    find: "if (this.#names.length < this.#max)",
    replace: "if (this.#names.length <= this.#max)"
  },
  {
    statements: ["MQTT-3.3.2-12"],
    file: PUBLISHING,
    find: "publish.topicAlias > connection.broker.settings.topic_alias_maximum",
    replace: "publish.topicAlias >= connection.broker.settings.topic_alias_maximum"
  },
  {
    statements: ["MQTT-3.3.2-13", "MQTT-3.3.2-19"],
    file: PROPERTIES,
    find: "if (position < 0 || !isMqttString(bytes, stringStart, position)) return MALFORMED_PACKET",
    replace: "if (position < 0) return MALFORMED_PACKET"
  },
  {
    statements: ["MQTT-3.3.2-14"],
    file: PROPERTIES,
    find: "return start < end && !hasWildcard(bytes, start, end)",
    replace: "return start < end && !hasWildcard(bytes, end, end)"
  },
  {
    statements: ["MQTT-3.3.2-15"],
    file: HEADERS,
    find: "if (isName(RESPONSE_TOPIC_NAME, bytes)) return writeBlockProperty(Table.RESPONSE_TOPIC, bytes, target, position)",
    replace: "if (isName(RESPONSE_TOPIC_NAME, bytes)) return position"
  },
  {
    statements: ["MQTT-3.3.2-16"],
    file: HEADERS,
    find: "written = writeNamedHeader(CORRELATION_DATA_NAME, bytes, value + 2, next, target, written)",
    replace: "written = writeNamedHeader(CORRELATION_DATA_NAME, bytes, value + 3, next, target, written)"
  },
  {
    statements: ["MQTT-3.3.2-17"],
    file: HEADERS,
    find: "const escaped = isReserved(bytes, nameStart, nameEnd)",
    replace: "const escaped = isReserved(bytes, nameEnd, nameEnd)"
  },
  {
    statements: ["MQTT-3.3.2-20"],
    file: HEADERS,
    find: "if (isName(CONTENT_TYPE_NAME, bytes)) return writeBlockProperty(Table.CONTENT_TYPE, bytes, target, position)",
    replace: "if (isName(CONTENT_TYPE_NAME, bytes)) return position"
  },
  {
    statements: ["MQTT-3.3.4-1"],
    file: PUBLISHING,
    find: "const kind = qos === 1 ? Packet.PUBACK : Packet.PUBREC",
    replace: "const kind = qos === 0 ? Packet.PUBREC : Packet.PUBACK"
  },
  {
    statements: ["MQTT-3.3.4-2", "MQTT-3.3.5-1 of 3.1.1"],
    file: DELIVERY,
    find: "qos = Math.max(qos, subscription.qos)",
    replace: "qos = Math.min(qos, subscription.qos)"
  },
  {
    statements: ["MQTT-3.3.4-3", "MQTT-3.3.4-4"],
    file: DELIVERY,
    find: "if (subscription.identifier !== 0 && !identifiers.includes(subscription.identifier)) {",
    replace: "if (subscription.identifier !== 0 && identifiers.length === 0) {"
  },
  {
    statements: ["MQTT-3.3.4-5"],
    file: ENCODER,
    find: "for (const identifier of identifiers) {",
    replace: "for (const identifier of identifiers.slice(1)) {"
  },
  {
    statements: ["MQTT-3.3.4-6"],
    file: PUBLISH,
    find: "if (properties.subscriptionIdentifierCount !== 0) return PROTOCOL_ERROR",
    replace: "if (properties.subscriptionIdentifierCount < 0) return PROTOCOL_ERROR"
  },
  {
    statements: ["MQTT-3.3.4-9"],
    file: "plugins/protocol-mqtt/OutboundWindow.ts",
    find: "return this.count >= this.limit",
    replace: "return this.count > this.limit"
  },
  {
    statements: ["MQTT-3.3.4-10"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "this.answer(PINGRESP_FRAME, 0, undefined)",
    replace: "if (this.session?.window?.isFull !== true) this.answer(PINGRESP_FRAME, 0, undefined)"
  },
  {
    statements: ["MQTT-3.4.2-1", "MQTT-3.5.2-1"],
    file: ANSWERS,
    find: "outcome === ACCEPTED_UNMATCHED ? NO_MATCHING_SUBSCRIBERS : 0",
    replace: "outcome === ACCEPTED_UNMATCHED ? NO_MATCHING_SUBSCRIBERS + 1 : 0"
  },
  {
    statements: ["MQTT-3.4.2-2", "MQTT-3.5.2-2"],
    file: ANSWERS,
    find: "size > connection.packetSizeMax",
    replace: "size > connection.packetSizeMax * 100"
  },
  {
    statements: ["MQTT-3.6.1-1"],
    file: "plugins/protocol-mqtt/wire/packet-types.ts",
    find: 'name: "PUBREL", flags: 2,',
    replace: 'name: "PUBREL", flags: 10,'
  },
  {
    statements: ["MQTT-3.6.2-1"],
    file: "plugins/protocol-mqtt/acknowledging.ts",
    find: "Reason.PACKET_IDENTIFIER_NOT_FOUND",
    replace: "Reason.QUOTA_EXCEEDED"
  },
  {
    statements: ["MQTT-3.7.2-1"],
    file: ANSWERS,
    find: "outcome === NOT_FOUND ? Reason.PACKET_IDENTIFIER_NOT_FOUND : 0",
    replace: "outcome === NOT_FOUND ? Reason.NOT_AUTHORIZED : 0"
  }
]
