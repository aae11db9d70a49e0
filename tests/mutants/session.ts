import type { Mutant } from "./mutant.ts"

const PLUGIN = "plugins/protocol-mqtt"

export const sessionMutants: ReadonlyArray<Mutant> = [
  // A short session ends though its client is connected.
  {
    statements: ["MQTT-4.1.0-1"],
    file: `${PLUGIN}/Sessions.ts`,
    find: "    this.#needs.lookIfDue(nowMs, this.durableCount)\n",
    replace: "    for (const each of [...this.durable()]) if (each.expiryInterval === 1) this.end(each)\n"
  },
  {
    statements: ["MQTT-4.1.0-2 of 3.1.1"],
    file: `${PLUGIN}/Sessions.ts`,
    find: "    this.#needs.lookIfDue(nowMs, this.durableCount)\n",
    replace: "    for (const each of [...this.durable()]) if (each.expiryInterval > 4e9) this.end(each)\n"
  },
  // No session is ever over.
  {
    statements: ["MQTT-4.1.0-2"],
    file: `${PLUGIN}/session-expiry.ts`,
    find: "return expiresAtMs !== 0 && expiresAtMs <= nowMs",
    replace: "return expiresAtMs < 0 && expiresAtMs <= nowMs"
  },
  // DISCONNECT does not change the interval.
  {
    statements: ["MQTT-4.1.0-2"],
    file: `${PLUGIN}/disconnecting.ts`,
    find: "session.expiryInterval = Math.min(packet.sessionExpiryInterval, connection.broker.settings.session_expiry_max)",
    replace: "void session.expiryInterval"
  },
  // Every session ends with its connection.
  {
    statements: ["MQTT-3.1.2-23"],
    file: `${PLUGIN}/Sessions.ts`,
    find: "if (session.expiryInterval === 0) {",
    replace: "if (session.expiryInterval >= 0) {"
  },
  // Clean Session 1 goes on with what is there.
  {
    statements: ["MQTT-3.1.2-6 of 3.1.1"],
    file: `${PLUGIN}/Sessions.ts`,
    find: "if (!connect.cleanStart && !isExpired(",
    replace: "if (!isExpired("
  },
  // A session is never taken up again.
  {
    statements: ["MQTT-3.1.2-4 of 3.1.1"],
    file: `${PLUGIN}/Sessions.ts`,
    find: "if (!connect.cleanStart && !isExpired(",
    replace: "if (connect.clientIdentifier === '' && !isExpired("
  },
  // QoS 2 identifiers of the client are not read again.
  {
    statements: ["MQTT-4.1.0-1 of 3.1.1"],
    file: `${PLUGIN}/DurableSession.ts`,
    find: "      this.takeReceived(identifier)\n",
    replace: ""
  },
  // Nothing is stored for a client that is away.
  {
    statements: ["MQTT-4.5.0-1"],
    file: `${PLUGIN}/KeptSubscriptions.ts`,
    find: "if (wish.qos > 0 && !wasKept) ticket = Math.max(ticket, router.wantUnsafe(wish.filter))",
    replace: "if (wish.qos > 9 && !wasKept) ticket = Math.max(ticket, router.wantUnsafe(wish.filter))"
  },
  // What was published while the client was away is passed over.
  {
    statements: ["MQTT-3.1.2-5 of 3.1.1"],
    file: `${PLUGIN}/Feed.ts`,
    find: "    if (rest === undefined || rest.qos === 0) return true\n",
    replace: "    if (rest === undefined || rest.qos < 2) return true\n"
  },
  // Messages over the client's size are sent.
  {
    statements: ["MQTT-3.1.2-24"],
    file: `${PLUGIN}/Connection.ts`,
    find: "return frame.end - frame.start <= this.packetSizeMax",
    replace: "return frame.end - frame.start <= this.packetSizeMax + 1"
  },
  // A message that is too large keeps a place in the window.
  {
    statements: ["MQTT-3.1.2-25"],
    file: `${PLUGIN}/TransientSession.ts`,
    find: "      this.broker.counts.droppedTooLarge += 1\n      return\n",
    replace: "      window.take(qos, undefined)\n      return\n"
  },
  // Bytes of a packet that is not whole yet are lost.
  {
    statements: ["MQTT-4.2.0-1"],
    file: `${PLUGIN}/wire/framing.ts`,
    find: "        this.partial = new PartialPacket(chunk, position, 0)\n",
    replace: ""
  },
  // The first PUBLISH says DUP.
  {
    statements: ["MQTT-4.3.1-1"],
    file: "plugins/protocol-mqtt/Connection.ts",
    find: "const frame = broker.encoder.encode(message, this.version, qos, retain, false, identifiers, nowMs)",
    replace: "const frame = broker.encoder.encode(message, this.version, qos, retain, true, identifiers, nowMs)"
  },
  // Identifiers of QoS 1 are used again at once.
  {
    statements: ["MQTT-4.3.2-1"],
    file: `${PLUGIN}/OutboundWindow.ts`,
    find: "let identifier = this.#next\n    while (",
    replace: "let identifier = qos === 1 ? 1 : this.#next\n    while (qos === 2 && "
  },
  // Identifiers that are in use are not passed over.
  {
    statements: ["MQTT-4.3.2-1"],
    file: `${PLUGIN}/OutboundWindow.ts`,
    find: "while (this.#states[identifier & mask] !== FREE) identifier =",
    replace: "while (this.#states.length === 0) identifier ="
  },
  // Identifiers of QoS 2 are used again at once.
  {
    statements: ["MQTT-4.3.3-1"],
    file: `${PLUGIN}/OutboundWindow.ts`,
    find: "let identifier = this.#next\n    while (",
    replace: "let identifier = qos === 2 ? 1 : this.#next\n    while (qos === 1 && "
  },
  // The publisher's DUP is handed on.
  {
    statements: ["MQTT-4.3.2-2"],
    file: `${PLUGIN}/publishing.ts`,
    find: "publish.messageExpiryInterval < 0 && !publish.dup) {",
    replace: "publish.messageExpiryInterval < 0) {"
  },
  {
    statements: ["MQTT-4.3.3-2"],
    file: `${PLUGIN}/publishing.ts`,
    find: "publish.messageExpiryInterval < 0 && !publish.dup) {",
    replace: "publish.messageExpiryInterval < 0) {"
  },
  // Any acknowledgement ends any exchange.
  {
    statements: ["MQTT-4.3.2-3"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (state === expected) session.freed(packetIdentifier)",
    replace: "if (state !== 0) session.freed(packetIdentifier)"
  },
  {
    statements: ["MQTT-4.3.3-3"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (state === expected) session.freed(packetIdentifier)",
    replace: "if (state !== 0) session.freed(packetIdentifier)"
  },
  {
    statements: ["MQTT-4.3.3-5"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (state === expected) session.freed(packetIdentifier)",
    replace: "if (state !== 0) session.freed(packetIdentifier)"
  },
  // An acknowledgement that a message does not wait for is passed over.
  {
    statements: ["MQTT-4.13.1-1", "MQTT-4.8.0-1 of 3.1.1"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "else if (state !== 0) return PROTOCOL_ERROR",
    replace: "else if (state !== 0) return 0"
  },
  {
    statements: ["MQTT-4.13.1-1", "MQTT-4.8.0-1 of 3.1.1"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (state === AWAITS_PUBACK) return PROTOCOL_ERROR",
    replace: "if (state === AWAITS_PUBACK) return 0"
  },
  // Identifiers of answers lose their upper byte.
  {
    statements: ["MQTT-4.3.2-4"],
    file: `${PLUGIN}/wire/acknowledgements.ts`,
    find: "  target[position + 1] = 2\n  return writeTwoBytes(target, position + 2, packetIdentifier)",
    replace: "  target[position + 1] = 2\n  return writeTwoBytes(target, position + 2, packetIdentifier & 255)"
  },
  // A QoS 1 PUBLISH with DUP is taken for a copy.
  {
    statements: ["MQTT-4.3.2-5", "MQTT-4.3.2-2 of 3.1.1"],
    file: `${PLUGIN}/publishing.ts`,
    find: "  const kind = qos === 1 ? Packet.PUBACK : Packet.PUBREC\n",
    replace:
      "  const kind = qos === 1 ? Packet.PUBACK : Packet.PUBREC\n  if (qos === 1 && publish.dup) {\n    answers.acknowledge(0, kind, packetIdentifier)\n    return 0\n  }\n"
  },
  // PUBREC that says anything but 0 ends the exchange.
  {
    statements: ["MQTT-4.3.3-4"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (reasonCode >= 0x80) session.freed(packetIdentifier)",
    replace: "if (reasonCode > 0) session.freed(packetIdentifier)"
  },
  // A refusal by PUBREC is taken for none.
  {
    statements: ["MQTT-4.4.0-2"],
    file: `${PLUGIN}/acknowledging.ts`,
    find: "if (reasonCode >= 0x80) session.freed(packetIdentifier)",
    replace: "if (reasonCode >= 0x80) return 0"
  },
  // PUBREL is not sent again.
  {
    statements: ["MQTT-4.3.3-5"],
    file: `${PLUGIN}/Flights.ts`,
    find: "else if (this.#uncommitted?.has(identifier) !== true) connection.sendPubrel(identifier)",
    replace: "else void connection"
  },
  // PUBLISH is sent again though PUBREL was.
  {
    statements: ["MQTT-4.3.3-6", "MQTT-4.3.3-1 of 3.1.1"],
    file: `${PLUGIN}/Flights.ts`,
    find: "if (state !== AWAITS_PUBCOMP) this.#unsent.push(identifier)",
    replace: "this.#unsent.push(identifier)\n      if (state !== AWAITS_PUBCOMP) return"
  },
  // What has expired since it was sent is not sent again.
  {
    statements: ["MQTT-4.3.3-7"],
    file: `${PLUGIN}/Flights.ts`,
    find: "    if (connection.fitsPacketSize(message, qos, retain, identifiers)) {\n",
    replace:
      "    if (connection.fitsPacketSize(message, qos, retain, identifiers) && !this.#session.broker.isExpired(message)) {\n"
  },
  // QoS 2 is answered by PUBACK.
  {
    statements: ["MQTT-4.3.3-8"],
    file: `${PLUGIN}/publishing.ts`,
    find: "else waitForReceipt(connection, session, broker.services.journal.tickets, kept, packetIdentifier)",
    replace: "else answers.acknowledge(0, Packet.PUBACK, packetIdentifier)"
  },
  // A refused QoS 2 message keeps its identifier.
  {
    statements: ["MQTT-4.3.3-9"],
    file: `${PLUGIN}/publishing.ts`,
    find: "    if (qos === 2 && outcome < 0) session.releaseReceived(packetIdentifier)\n",
    replace: ""
  },
  // A copy of a message that may expire is not answered.
  {
    statements: ["MQTT-4.3.3-13"],
    file: `${PLUGIN}/publishing.ts`,
    find: "if (qos === 2 && session.hasReceived(packetIdentifier)) {\n",
    replace:
      "if (qos === 2 && session.hasReceived(packetIdentifier)) {\n    if (publish.messageExpiryInterval >= 0) return 0\n"
  },
  // Every QoS 2 PUBLISH is a new message.
  {
    statements: ["MQTT-4.3.3-10"],
    file: `${PLUGIN}/publishing.ts`,
    find: "if (qos === 2 && session.hasReceived(packetIdentifier)) {",
    replace: "if (qos === 2 && publish.dup && session.hasReceived(packetIdentifier)) {"
  },
  // PUBREL of an identifier that is not known is not answered.
  {
    statements: ["MQTT-4.3.3-11"],
    file: `${PLUGIN}/AnswerLine.ts`,
    find: "      if (outcome < 0) connection.close(reasonOf(outcome))\n      else this.send(",
    replace:
      "      if (outcome < 0) connection.close(reasonOf(outcome))\n      else if (outcome !== NOT_FOUND) this.send("
  },
  // PUBREL does not free the identifier.
  {
    statements: ["MQTT-4.3.3-12", "MQTT-4.3.3-2 of 3.1.1"],
    file: `${PLUGIN}/Session.ts`,
    find: "answers.acknowledge(this.releaseReceived(packetIdentifier) ? 0 : NOT_FOUND",
    replace: "answers.acknowledge(this.hasReceived(packetIdentifier) ? 0 : NOT_FOUND"
  },
  // Nothing is sent again.
  {
    statements: ["MQTT-4.4.0-1", "MQTT-4.3.2-1 of 3.1.1"],
    file: `${PLUGIN}/Flights.ts`,
    find: "if (state !== AWAITS_PUBCOMP) this.#unsent.push(identifier)",
    replace: "if (state !== AWAITS_PUBCOMP) window"
  },
  // What is sent again has another identifier.
  {
    statements: ["MQTT-4.4.0-1 of 3.1.1"],
    file: `${PLUGIN}/Flights.ts`,
    find: "resendPublish(connection, message, qos, retain, identifiers, identifier)",
    replace: "resendPublish(connection, message, qos, retain, identifiers, identifier + 1_000)"
  },
  // What is sent again comes in reverse.
  {
    statements: ["MQTT-4.6.0-1 of 3.1.1"],
    file: `${PLUGIN}/OutboundWindow.ts`,
    find: "(this.#order[left] ?? 0) - (this.#order[right] ?? 0)",
    replace: "(this.#order[right] ?? 0) - (this.#order[left] ?? 0)"
  },
  // An answer that is ready overtakes those that wait.
  {
    statements: ["MQTT-4.6.0-2 of 3.1.1"],
    file: `${PLUGIN}/AnswerLine.ts`,
    find: "if (this.#fifo !== undefined && this.#fifo.length > 0) this.#fifo.pushDone(outcome, kind, packetIdentifier)",
    replace: "if (kind === 0 && this.#fifo !== undefined) this.#fifo.pushDone(outcome, kind, packetIdentifier)"
  },
  {
    statements: ["MQTT-4.6.0-3 of 3.1.1"],
    file: `${PLUGIN}/AnswerLine.ts`,
    find: "if (this.#fifo !== undefined && this.#fifo.length > 0) this.#fifo.pushDone(outcome, kind, packetIdentifier)",
    replace: "if (kind === 0 && this.#fifo !== undefined) this.#fifo.pushDone(outcome, kind, packetIdentifier)"
  },
  // PUBREL packets that wait for one commit leave in reverse.
  {
    statements: ["MQTT-4.6.0-4 of 3.1.1"],
    file: `${PLUGIN}/Flights.ts`,
    find: "of this.#uncommitted ?? []) {\n      if (type < 0) continue",
    replace: "of [...(this.#uncommitted ?? [])].reverse()) {\n      if (type < 0) continue"
  },
  // What waits in memory leaves in reverse.
  {
    statements: ["MQTT-4.6.0-5"],
    file: `${PLUGIN}/MessageQueue.ts`,
    find: "    this.#entries.push(entry)\n",
    replace: "    this.#entries.unshift(entry)\n"
  },
  // What is live overtakes what waits in the queue log.
  {
    statements: ["MQTT-4.6.0-6", "MQTT-4.6.0-6 of 3.1.1", "MQTT-4.6.0-5 of 3.1.1"],
    file: `${PLUGIN}/Feed.ts`,
    find: "if (flow.isBehind || message.queueOffset < flow.position) return",
    replace: "if (message.queueOffset < flow.position) return"
  },
  // One more than the client's Receive Maximum.
  {
    statements: ["MQTT-4.9.0-1"],
    file: `${PLUGIN}/connecting.ts`,
    find: "session.windowLimit = Math.min(packet.receiveMaximum, broker.settings.inflight_max)",
    replace: "session.windowLimit = Math.min(packet.receiveMaximum + 1, broker.settings.inflight_max)"
  },
  // The window never fills.
  {
    statements: ["MQTT-4.9.0-2"],
    file: `${PLUGIN}/OutboundWindow.ts`,
    find: "return this.count >= this.limit",
    replace: "return this.count >= this.limit + 1_000"
  },
  // PINGREQ of a client with a full window is not answered.
  {
    statements: ["MQTT-4.9.0-3"],
    file: `${PLUGIN}/Connection.ts`,
    find: "    const fault = checkPingreq(start, end)\n",
    replace: "    const fault = checkPingreq(start, end)\n    if (this.session?.window?.isFull === true) return 0\n"
  }
]
