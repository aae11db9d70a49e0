/**
 * PUBLISH from a client: from its bytes to the ingress, and to the line of answers.
 *
 * Source: MQTT 5.0 sections 3.3, 4.3; MQTT 3.1.1 the same.
 */
import {
  ACCEPTED_PENDING,
  checkTopicNameBytes,
  HELD_UP,
  JointTickets,
  type Message,
  NAME_HAS_WILDCARD,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME,
  type TicketStream,
  TOPIC_EMPTY,
  TOPIC_NOT_WELL_FORMED
} from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { enter } from "./entering.ts"
import { wireFormatOf } from "./PublishEncoder.ts"
import * as Reason from "./reasons.ts"
import type { Session } from "./Session.ts"
import { TopicAliases } from "./TopicAliases.ts"
import { NOT_TAKEN, PAUSED } from "./wire/framing.ts"
import * as Packet from "./wire/packet-types.ts"
import { PublishView, scanPublish } from "./wire/publish.ts"
import { MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID, TOPIC_NAME_INVALID } from "./wire/reason-codes.ts"
import { size } from "./wire/variable-byte-integer.ts"

/** Acknowledgements owed to a 3.x client above which reading stops. */
const UNACKNOWLEDGED_MAX_BEFORE_5 = 1_000

/** As many as there are packet identifiers: of the node's own clients, whose peers may know of no bound. */
const RECEIVE_MAXIMUM_MAX = 65_535

const publish = new PublishView()

/** Takes a PUBLISH as {@link receivePublish} does; a client that publishes too fast is not read for a while. */
export function receivePaced(
  connection: Connection,
  session: Session,
  bytes: Uint8Array,
  firstByte: number,
  start: number,
  end: number
): number {
  const code = receivePublish(connection, session, bytes, firstByte, start, end)
  const { rate, broker } = connection
  if (rate === undefined || code > 0 || code === NOT_TAKEN) return code
  const waitMs = rate.spend(end - start, broker.services.clock.monotonicMs())
  if (waitMs === 0) return code
  broker.counts.publishPauses += 1
  broker.services.clock.after(waitMs, () => connection.readOn())
  return PAUSED
}

/**
 * Takes a PUBLISH; `bytes[start, end)` follows its fixed header. 0, PAUSED, NOT_TAKEN where storage has no room for it just now, or the
 * Reason Code that ends the connection.
 */
function receivePublish(
  connection: Connection,
  session: Session,
  bytes: Uint8Array,
  firstByte: number,
  start: number,
  end: number
): number {
  const { broker, version, client } = connection
  const fault = scanPublish(bytes, firstByte, start, end, version, publish)
  if (fault !== 0) return fault
  broker.counts.publishReceived += 1
  const { message, nowMs } = broker
  const { qos } = publish
  message.topic = bytes
  message.topicStart = publish.topicStart
  message.topicEnd = publish.topicEnd
  message.wireFormat = 0
  if (publish.topicAlias > 0) {
    const aliasFault = resolveAlias(connection, message, bytes)
    if (aliasFault !== 0) return aliasFault
  } else if (!publish.retain && publish.messageExpiryInterval < 0 && !publish.dup) {
    // The frame as it came can go on to subscribers of the same version and QoS.
    message.wire = bytes
    message.wireStart = start - 1 - size(end - start)
    message.wireEnd = end
    message.wireFormat = wireFormatOf(version, qos, false)
  }
  message.tenant = client.tenant
  message.publisher = client.clientIdentifier
  message.payload = bytes
  message.payloadStart = publish.payloadStart
  message.payloadEnd = publish.payloadEnd
  message.qos = qos
  message.retain = publish.retain
  message.timestamp = nowMs
  message.expiresAtMs = publish.messageExpiryInterval >= 0 ? nowMs + publish.messageExpiryInterval * 1_000 : 0
  message.gathered = true
  message.keyStart = -1
  if (publish.propertiesStart === publish.propertiesEnd) {
    message.headersStart = 0
    message.headersEnd = 0
    message.headerCount = 0
  } else broker.setHeaders(message, bytes, publish.propertiesStart, publish.propertiesEnd)
  message.begin()
  message.canWait = true
  const { packetIdentifier } = publish
  const code =
    qos === 0
      ? publishUnacknowledged(connection, message)
      : publishAcknowledged(connection, session, message, qos, packetIdentifier)
  message.canWait = false
  if (code === NOT_TAKEN) {
    broker.counts.publishReceived -= 1
    broker.heldUp.add(connection)
  }
  return code
}

function publishUnacknowledged(connection: Connection, message: Message): number {
  const { broker, client } = connection
  const outcome = enter(broker, message, client)
  if (outcome >= 0) return 0
  if (outcome === HELD_UP) return NOT_TAKEN
  broker.counts.publishRefused += 1
  if (connection.listener.isHosted) {
    // What was passed on from elsewhere is no fault of who passes it on.
    broker.services.hosted.of(client.clientIdentifier)?.refused()
    return 0
  }
  if (outcome !== REFUSED_TOPIC_NAME) return 0
  // Of QoS 0 there is no other way to tell.
  return faultOfTopic(message) || TOPIC_NAME_INVALID
}

function publishAcknowledged(
  connection: Connection,
  session: Session,
  message: Message,
  qos: number,
  packetIdentifier: number
): number {
  const { answers, broker } = connection
  const kind = qos === 1 ? Packet.PUBACK : Packet.PUBREC
  if (qos === 2 && session.hasReceived(packetIdentifier)) {
    // The message is here already; only its PUBREC may be missing [MQTT-4.3.3-10], which says as much as the first one's does.
    const receipt = session.received?.waitAgain(packetIdentifier)
    if (receipt === undefined) answers.acknowledge(0, kind, packetIdentifier)
    else answers.wait(receipt.stream, receipt.ticket, kind, receipt.number)
    return 0
  }
  const receiveMaximum = connection.listener.isHosted ? RECEIVE_MAXIMUM_MAX : broker.settings.receive_maximum
  if (answers.pubacksOwed + session.receivedCount >= receiveMaximum) {
    return Reason.RECEIVE_MAXIMUM_EXCEEDED
  }
  if (qos === 2) {
    // Its packet identifier is kept in the journal, too.
    if (session.isDurable && broker.services.journal.isHeldUp === true) return NOT_TAKEN
    if (session.isDurable && (session.isDirty || broker.services.journal.refusal !== 0)) {
      answers.acknowledge(REFUSED_QUOTA, kind, packetIdentifier)
      return 0
    }
    session.takeReceived(packetIdentifier)
    message.token = session.tokenOf(packetIdentifier)
  }
  const outcome = enter(broker, message, connection.client)
  message.token = ""
  if (outcome !== ACCEPTED_PENDING) {
    // Free at once, however long the answer waits behind others: a copy that comes meanwhile is a message of its own.
    if (qos === 2 && outcome < 0) session.releaseReceived(packetIdentifier)
    if (outcome === HELD_UP) return NOT_TAKEN
    const fault = outcome === REFUSED_TOPIC_NAME ? faultOfTopic(message) : 0
    if (fault !== 0) return fault
    const kept = qos === 2 && outcome >= 0 ? session.keepReceived(packetIdentifier, broker.services.shard.index) : 0
    if (kept === 0) answers.acknowledge(outcome, kind, packetIdentifier)
    else waitForReceipt(connection, session, broker.services.journal.tickets, kept, packetIdentifier)
    return 0
  }
  const { pending } = broker
  const { pendingStream, pendingTicket } = pending
  if (qos === 2 && !pending.pendingIsJournaled) {
    const late = session.keepReceivedLater(packetIdentifier, pendingStream, pendingTicket, pending.pendingOwner)
    if (late !== undefined) {
      waitForReceipt(connection, session, late.stream, late.ticket, packetIdentifier)
      return pausedWhere(connection)
    }
  }
  const kept = qos === 2 ? session.keepReceived(packetIdentifier, pending.pendingOwner) : 0
  if (kept !== 0 && pendingStream !== broker.services.journal.tickets) {
    session.joint ??= new JointTickets()
    const ticket = session.joint.join(pendingStream, pendingTicket, broker.services.journal.tickets, kept)
    waitForReceipt(connection, session, session.joint.stream, ticket, packetIdentifier)
    return pausedWhere(connection)
  }
  if (kept !== 0) {
    waitForReceipt(connection, session, pendingStream, kept, packetIdentifier)
    return pausedWhere(connection)
  }
  const number = qos === 2 ? session.received?.wait(packetIdentifier, pendingStream, pendingTicket) : undefined
  answers.wait(pendingStream, pendingTicket, kind, number ?? packetIdentifier)
  return pausedWhere(connection)
}

/**
 * Whether a topic name that was refused ends the connection: one that is no right text makes its packet malformed [MQTT-1.5.4-1], and one
 * with a wildcard, or of no character, is none [MQTT-3.3.2-2]. One that is only longer or deeper than is allowed here does not.
 */
function faultOfTopic({ topic, topicStart, topicEnd }: Message): number {
  const fault = checkTopicNameBytes(topic, topicStart, topicEnd)
  if (fault === TOPIC_NOT_WELL_FORMED) return MALFORMED_PACKET
  return fault === NAME_HAS_WILDCARD || fault === TOPIC_EMPTY ? TOPIC_NAME_INVALID : 0
}

/** Version 5 clients are slowed by Receive Maximum; older ones know no such thing. */
function pausedWhere({ version, answers }: Connection): number {
  return version !== 5 && answers.length >= UNACKNOWLEDGED_MAX_BEFORE_5 ? PAUSED : 0
}

function waitForReceipt(
  { answers }: Connection,
  session: Session,
  stream: TicketStream,
  ticket: number,
  packetIdentifier: number
): void {
  const number = session.received?.wait(packetIdentifier, stream, ticket)
  answers.wait(stream, ticket, Packet.PUBREC, number ?? packetIdentifier)
}

function resolveAlias(connection: Connection, message: Message, bytes: Uint8Array): number {
  if (publish.topicAlias > connection.broker.settings.topic_alias_maximum) return TOPIC_ALIAS_INVALID
  connection.aliases ??= new TopicAliases()
  if (publish.topicStart !== publish.topicEnd) {
    connection.aliases.set(publish.topicAlias, bytes, publish.topicStart, publish.topicEnd)
    return 0
  }
  const topic = connection.aliases.get(publish.topicAlias)
  if (topic === undefined) return PROTOCOL_ERROR
  message.topic = topic
  message.topicStart = 0
  message.topicEnd = topic.length
  return 0
}
