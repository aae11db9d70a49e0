import type { Mutant } from "./mutant.ts"

export const connectMutants: ReadonlyArray<Mutant> = [
  {
    statements: ["MQTT-1.5.4-1"],
    file: "core/router/utf8.ts",
    find: "lead === 0xed ? 0x9f :",
    replace: "lead === 0xed ? 0xbf :"
  },
  {
    statements: ["MQTT-1.5.4-2"],
    file: "core/router/utf8.ts",
    find: "if (byte === 0) return false",
    replace: "if (byte === 1) return false"
  },
  {
    statements: ["MQTT-1.5.4-3"],
    file: "plugins/protocol-mqtt/wire/utf8.ts",
    find: "ignoreBOM: true",
    replace: "ignoreBOM: false"
  },
  {
    statements: ["MQTT-1.5.5-1"],
    file: "plugins/protocol-mqtt/wire/variable-byte-integer.ts",
    find: "while (rest > 127) {",
    replace: "while (rest > 126) {"
  },
  {
    statements: ["MQTT-1.5.7-1"],
    file: "plugins/protocol-mqtt/wire/properties.ts",
    find: "if (position < 0 || !isMqttString(bytes, valueStart, position))",
    replace: "if (position < 0)"
  },
  {
    statements: ["MQTT-2.1.3-1"],
    file: "plugins/protocol-mqtt/wire/packet-types.ts",
    find: ": flags === row.flags",
    replace: ": flags >= 0"
  },
  {
    statements: ["MQTT-2.2.1-3"],
    file: "plugins/protocol-mqtt/wire/requests.ts",
    find: "if (packetIdentifier === 0) cursor.fail(PROTOCOL_ERROR)",
    replace: "if (packetIdentifier < 0) cursor.fail(PROTOCOL_ERROR)"
  },
  {
    statements: ["MQTT-2.2.1-4"],
    file: "plugins/protocol-mqtt/OutboundWindow.ts",
    find: "let identifier = this.#next",
    replace: "let identifier = this.#next - 1"
  },
  {
    statements: ["MQTT-2.2.1-6"],
    file: "plugins/protocol-mqtt/wire/requests.ts",
    find: "next = writeTwoBytes(target, next, packetIdentifier)",
    replace: "next = writeTwoBytes(target, next, packetIdentifier & 255)"
  },
  {
    statements: ["MQTT-3.1.0-2"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "and what only a server sends.\n        return PROTOCOL_ERROR",
    replace: "and what only a server sends.\n        return 0"
  },
  {
    statements: ["MQTT-3.1.2-1"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: 'if (name === "MQTT")',
    replace: 'if (name.toUpperCase() === "MQTT")'
  },
  {
    statements: ["MQTT-3.1.2-2"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "return level >= 5 && level < 0x80",
    replace: "return level >= 0x80"
  },
  {
    statements: ["MQTT-3.1.2-3"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "if ((flags & RESERVED_FLAG) !== 0) return",
    replace: "if ((flags & RESERVED_FLAG) > 1) return"
  },
  {
    statements: ["MQTT-3.1.2-4"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "if (!connect.cleanStart && !isExpired(",
    replace: "if (!isExpired("
  },
  {
    statements: ["MQTT-3.1.2-5"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "if (!connect.cleanStart && !isExpired(",
    replace: "if (connect.cleanStart && !isExpired("
  },
  {
    statements: ["MQTT-3.1.2-6", "MQTT-3.2.2-3"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "opened({ session, present: false, ticket: services.journal.tickets.issued })",
    replace: "opened({ session, present: true, ticket: services.journal.tickets.issued })"
  },
  {
    statements: ["MQTT-3.1.2-7"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "if (session.will !== 0) this.#broker.wills.publishNow(session.will)",
    replace: "if (session.will < 0) this.#broker.wills.publishNow(session.will)"
  },
  {
    statements: ["MQTT-3.1.2-8"],
    file: "plugins/protocol-mqtt/Broker.ts",
    find: "will !== undefined && this.wills.connectionEnded(",
    replace: "will !== undefined && will.number < 0 && this.wills.connectionEnded("
  },
  {
    statements: ["MQTT-3.1.2-9"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "qos: ((flags >> 3) & 3) as Qos",
    replace: "qos: ((flags >> 4) & 1) as Qos"
  },
  {
    statements: ["MQTT-3.14.4-3"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "this.broker.wills.forget(this.will.number)\n    this.will = undefined",
    replace: "this.broker.wills.forget(this.will.number)"
  },
  {
    statements: ["MQTT-3.1.2-11"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "(willQos !== 0 || willRetain)",
    replace: "willRetain"
  },
  {
    statements: ["MQTT-3.1.2-12"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "if (willQos === 3) return",
    replace: "if (willQos > 3) return"
  },
  {
    statements: ["MQTT-3.1.2-13"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "(willQos !== 0 || willRetain)",
    replace: "willQos !== 0 && (willRetain || willQos !== 0)"
  },
  {
    statements: ["MQTT-3.1.2-14"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "    retain: (flags & WILL_RETAIN_FLAG) !== 0",
    replace: "    retain: true"
  },
  {
    statements: ["MQTT-3.1.2-15"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "    retain: (flags & WILL_RETAIN_FLAG) !== 0",
    replace: "    retain: false"
  },
  {
    statements: ["MQTT-3.1.2-16", "MQTT-3.1.2-18"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "if (!cursor.atEnd) cursor.fail(MALFORMED_PACKET)",
    replace: "if (!cursor.atEnd && version === 3) cursor.fail(MALFORMED_PACKET)"
  },
  {
    statements: ["MQTT-3.1.2-17"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "(flags & USERNAME_FLAG) === 0 ? undefined",
    replace: "(flags & USERNAME_FLAG) === 0 || cursor.atEnd ? undefined"
  },
  {
    statements: ["MQTT-3.1.2-22"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "connection.keepAliveMs = keepAlive * 1_500",
    replace: "connection.keepAliveMs = keepAlive * 6_000"
  },
  {
    statements: ["MQTT-3.1.2-23"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "const expiry = Math.min(connect.sessionExpiryInterval, expiryMaxOf(request.connection))",
    replace: "const expiry = Math.min(connect.sessionExpiryInterval, 1)"
  },
  {
    statements: ["MQTT-3.1.2-24"],
    file: "plugins/protocol-mqtt/Output.ts",
    find: "if (size > packetSizeMax) {",
    replace: "if (size > packetSizeMax + 1) {"
  },
  {
    statements: ["MQTT-3.1.2-25"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "if (this.packetSizeMax === PACKET_SIZE_MAX) return true",
    replace: "if (this.packetSizeMax > 0) return true"
  },
  {
    statements: ["MQTT-3.1.2-26"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "const aliasMax = Math.min(packet.topicAliasMaximum, broker",
    replace: "const aliasMax = Math.max(packet.topicAliasMaximum, broker"
  },
  {
    statements: ["MQTT-3.1.2-27"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "const aliasMax = Math.min(packet.topicAliasMaximum, broker",
    replace: "const aliasMax = Math.min(packet.topicAliasMaximum + 1, broker"
  },
  {
    statements: ["MQTT-3.1.2-28"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "...(packet.requestResponseInformation &&",
    replace: "...(packet.protocolVersion === 5 &&"
  },
  {
    statements: ["MQTT-3.1.2-29"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "requestProblemInformation: view.requestProblemInformation !== 0",
    replace: "requestProblemInformation: view.requestProblemInformation !== 2"
  },
  {
    statements: ["MQTT-3.1.3-2"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "const clientIdentifier = cursor.readString()",
    replace: "const clientIdentifier = cursor.readString().trim()"
  },
  {
    statements: ["MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-3.1.3-12"],
    file: "plugins/protocol-mqtt/wire/PacketCursor.ts",
    find: "if (!isMqttString(this.bytes, this.blockStart, this.blockEnd)) {",
    replace: "if (!isMqttString(this.bytes, this.blockStart, this.blockStart)) {"
  },
  {
    statements: ["MQTT-3.1.3-7", "MQTT-3.2.2-16"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "...(assigned && {",
    replace: "...(!assigned && {"
  },
  {
    statements: ["MQTT-3.1.3-8"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "> settings.client_identifier_bytes_max",
    replace: "> settings.client_identifier_bytes_max * 4"
  },
  {
    statements: ["MQTT-3.1.4-3"],
    file: "plugins/protocol-mqtt/Sessions.ts",
    find: "known.connection.close(SESSION_TAKEN_OVER)",
    replace: "known.connection.close(0)"
  },
  {
    statements: ["MQTT-3.1.4-6"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: 'if (outcome.kind === "refused") return outcome.reasonCode',
    replace: 'if (outcome.kind === "refused") return 0'
  },
  {
    statements: ["MQTT-3.2.0-1"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "connection.answers.answer(frame, journal.tickets, ticket, () => connection.open(session))",
    replace: "connection.open(session)\n  connection.answers.answer(frame, journal.tickets, ticket, () => {})"
  },
  {
    statements: ["MQTT-3.2.2-1"],
    file: "plugins/protocol-mqtt/wire/connack.ts",
    find: "target[next] = sessionPresent ? 1 : 0",
    replace: "target[next] = sessionPresent ? 3 : 0"
  },
  {
    statements: ["MQTT-3.2.2-7", "MQTT-4.13.2-1"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "if (code > 0) this.close(code)",
    replace: "if (code > 0 && code !== 0x8c) this.close(code)"
  },
  {
    statements: ["MQTT-3.2.2-8"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "return refuse(connection, TOPIC_NAME_INVALID)",
    replace: "return refuse(connection, 0x8f)"
  },
  {
    statements: ["MQTT-3.14.0-1"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "if (this.session !== undefined && this.version === 5) sayDisconnect",
    replace: "if (this.version === 5) sayDisconnect"
  },
  {
    statements: ["MQTT-3.14.1-1"],
    file: "plugins/protocol-mqtt/wire/packet-types.ts",
    find: ": flags === row.flags",
    replace: ": flags === row.flags || row.type === DISCONNECT"
  },
  {
    statements: ["MQTT-3.14.2-2"],
    file: "plugins/protocol-mqtt/wire/disconnect.ts",
    find: "  properties.string(Table.SERVER_REFERENCE, options?.serverReference)",
    replace:
      "  properties.string(Table.SERVER_REFERENCE, options?.serverReference)\n  properties.fourBytes(Table.SESSION_EXPIRY_INTERVAL, 60)"
  },
  {
    statements: ["MQTT-3.15.1-1"],
    file: "plugins/protocol-mqtt/wire/packet-types.ts",
    find: ": flags === row.flags",
    replace: ": flags === row.flags || row.type === AUTH"
  },
  {
    statements: ["MQTT-3.15.2-1"],
    file: "plugins/protocol-mqtt/Authentication.ts",
    find: "this.#send(SUCCESS, step.data)",
    replace: "this.#send(REAUTHENTICATE, step.data)"
  },
  {
    statements: ["MQTT-3.15.2-2"],
    file: "plugins/protocol-mqtt/wire/auth.ts",
    find: "properties.string(Table.REASON_STRING, packet.reasonString)",
    replace: 'properties.string(Table.REASON_STRING, "go on")'
  },
  {
    statements: ["MQTT-4.12.0-1"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "packet.authenticationMethod !== SCRAM_SHA_256",
    replace: "packet.authenticationMethod.toUpperCase() !== SCRAM_SHA_256"
  },
  {
    statements: ["MQTT-4.12.0-4"],
    file: "plugins/protocol-mqtt/Authentication.ts",
    find: 'if (step.kind === "failure" || connect === undefined) return refuse(connection, Reason.NOT_AUTHORIZED)',
    replace:
      'if (step.kind === "failure" || connect === undefined) return refuse(connection, Reason.NORMAL_DISCONNECTION)'
  },
  {
    statements: ["MQTT-4.12.0-5"],
    file: "plugins/protocol-mqtt/connecting.ts",
    find: "      authenticationMethod: authentication.method,\n",
    replace: ""
  },
  {
    statements: ["MQTT-4.12.0-6"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "this.authentication?.receiveAgain(bytes, start, end) ?? PROTOCOL_ERROR",
    replace: "this.authentication?.receiveAgain(bytes, start, end) ?? 0"
  },
  {
    statements: ["MQTT-4.12.1-2"],
    file: "plugins/protocol-mqtt/Authentication.ts",
    find: "else return Reason.NOT_AUTHORIZED",
    replace: "else return 0"
  },
  {
    statements: ["MQTT-4.13.1-1"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "if (code > 0) this.close(code)",
    replace: "if (code > 0x82) this.close(code)"
  },
  {
    statements: ["MQTT-6.0.0-1"],
    file: "core/platform/bun/websocket.ts",
    find: 'handle.close(UNSUPPORTED_DATA, "binary frames only")\n',
    replace: ""
  },
  {
    statements: ["MQTT-6.0.0-4"],
    file: "core/platform/websocket.ts",
    find: "options.subprotocols.find((name) => offered.includes(name))",
    replace: "offered.find((name) => options.subprotocols.includes(name))"
  },
  {
    statements: ["MQTT-3.1.2-2 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "return level === 4 || level === 5 ? level",
    replace: "return level === 3 || level === 4 || level === 5 ? level"
  },
  {
    statements: ["MQTT-3.1.2-22 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "return passwordAlone && version !== 5 ?",
    replace: "return passwordAlone && version === 3 ?"
  },
  {
    statements: ["MQTT-3.1.3-8 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "(version === 3 || (version === 4 && !cleanStart))",
    replace: "version === 3"
  },
  {
    statements: ["MQTT-3.1.3-9 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connack.ts",
    find: "  [0x85, 2],",
    replace: "  [0x85, 4],"
  },
  {
    statements: ["MQTT-3.1.4-1 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connect.ts",
    find: "version === 5 ? reasonCode : CLOSE",
    replace: "version === 5 ? reasonCode : UNACCEPTABLE_PROTOCOL_VERSION"
  },
  {
    statements: ["MQTT-3.2.2-6 of 3.1.1"],
    file: "plugins/protocol-mqtt/wire/connack.ts",
    find: "RETURN_CODES.get(reasonCode) ?? -1",
    replace: "RETURN_CODES.get(reasonCode) ?? 5"
  }
]
