/**
 * CONNECT: who the client is, which shard it belongs to, and the CONNACK.
 *
 * Source: MQTT 5.0 sections 3.1, 3.2; MQTT 3.1.1 the same.
 */
import { checkTopicName, HOSTED_PREFIX, SCRAM_SHA_256 } from "../../core/mod.ts"
import { Authentication } from "./Authentication.ts"
import type { Broker } from "./Broker.ts"
import { Client } from "./Client.ts"
import type { Connection } from "./Connection.ts"
import { isDelayedWrong } from "./delayed/delayed-name.ts"
import { OutboundAliases } from "./OutboundAliases.ts"
import { reasonStringOf } from "./reason-strings.ts"
import * as Reason from "./reasons.ts"
import { isReservedText } from "./reserved-names.ts"
import { isRefusedName } from "./rewrite/resolve-name.ts"
import type { Session } from "./Session.ts"
import type { Opened } from "./session-request.ts"
import { type ConnackPacket, connackSize, returnCodeOf, writeConnack } from "./wire/connack.ts"
import { type ConnectPacket, ConnectRefusal, decodeConnect } from "./wire/connect.ts"
import { CONNACK } from "./wire/packet-types.ts"
import { CLIENT_IDENTIFIER_NOT_VALID, PACKET_TOO_LARGE, TOPIC_NAME_INVALID } from "./wire/reason-codes.ts"

export type ConnectOutcome =
  /** Its session is there, or being seen to: {@link Connection.open} is called with it. */
  | { readonly kind: "opening" }
  | { readonly kind: "refused"; readonly reasonCode: number }
  /** More is asked of it before it is judged, or it has left. */
  | { readonly kind: "authenticating" }
  | { readonly kind: "forward"; readonly shard: number }

/** Judges a CONNECT; `bytes[start, end)` follows its fixed header. Writes the CONNACK, except where another shard will. */
export function openConnection(connection: Connection, bytes: Uint8Array, start: number, end: number): ConnectOutcome {
  const { broker } = connection
  const { settings } = broker
  const packet = decodeConnect(bytes, start, end)
  if (packet instanceof ConnectRefusal) {
    connection.version = packet.protocolVersion
    // What the client takes is not known.
    if (packet.connackCode >= 0) sendConnack(connection, { sessionPresent: false, reasonCode: packet.connackCode })
    return { kind: "refused", reasonCode: packet.reasonCode }
  }
  connection.version = packet.protocolVersion
  connection.packetSizeMax = packet.maximumPacketSize
  const { shard } = broker.services
  const tenant = 0
  // One that names a method of authentication is not yet who its CONNECT says: it is asked when it has proved it.
  const claimed = packet.authenticationMethod === undefined ? (packet.username ?? "") : ""
  const { isHosted } = connection.listener
  if (!isHosted && isBanned(connection, packet.clientIdentifier, claimed)) return refuseBanned(connection)
  if (packet.clientIdentifier !== "") {
    if (Buffer.byteLength(packet.clientIdentifier) > settings.client_identifier_bytes_max) {
      return refuse(connection, CLIENT_IDENTIFIER_NOT_VALID)
    }
    const owner = shard.ownerOfClient(tenant, packet.clientIdentifier)
    if (owner !== shard.index) return { kind: "forward", shard: owner }
  }
  // The node's own clients come from inside, and nobody else takes their place, or what waits for one whose plugin is not there now.
  const isAllowed = isHosted
    ? broker.services.hosted.of(packet.clientIdentifier) !== undefined
    : !packet.clientIdentifier.startsWith(HOSTED_PREFIX)
  if (!isAllowed) return refuse(connection, Reason.NOT_AUTHORIZED)
  if (isHosted) return enter(connection, packet, "")
  const { will } = packet
  if (will !== undefined && isWrong(broker, will.topic)) {
    return refuse(connection, TOPIC_NAME_INVALID)
  }
  if (will !== undefined && isReservedText(will.topic)) return refuse(connection, Reason.NOT_AUTHORIZED)
  if (packet.authenticationMethod === undefined) {
    const user = packet.username ?? ""
    return broker.scram?.has(user) === true
      ? refuse(connection, Reason.NOT_AUTHORIZED)
      : admit(connection, packet, user)
  }
  if (broker.scram === undefined || packet.authenticationMethod !== SCRAM_SHA_256) {
    return refuse(connection, Reason.BAD_AUTHENTICATION_METHOD)
  }
  connection.authentication = new Authentication(connection, broker.scram, packet)
  return connection.authentication.begin()
}

/** On the blacklist: asked before anything is done for the client, and again when it is known who it is. */
function isBanned({ broker, socket }: Connection, clientIdentifier: string, user: string): boolean {
  return broker.blacklist.isBanned(clientIdentifier, user, socket.peerAddress, broker.services.clock.nowMs())
}

function refuseBanned(connection: Connection): ConnectOutcome {
  connection.broker.blacklist.refused += 1
  return refuse(connection, Reason.BANNED)
}

/** Whether nothing could be published on a topic name. */
function isWrong({ topicBounds, services }: Broker, name: string): boolean {
  return checkTopicName(name) !== 0 || topicBounds.isTextOver(name) || isDelayedWrong(name, services.clock.nowMs())
}

/** The client is who it says: it may connect, or is over a limit. */
export function admit(connection: Connection, packet: ConnectPacket, user: string): ConnectOutcome {
  const { broker } = connection
  const tenant = 0
  const isAssigned = packet.clientIdentifier === ""
  const clientIdentifier = isAssigned ? broker.assignClientIdentifier(tenant) : packet.clientIdentifier
  const { peerAddress } = connection.socket
  if (isBanned(connection, clientIdentifier, user)) return refuseBanned(connection)
  const replaced = broker.sessions.connectionOf(tenant, clientIdentifier)
  const nowMs = broker.services.clock.monotonicMs()
  const overOwn = connection.listener.admit(connection, replaced, nowMs)
  if (overOwn !== 0) return refuse(connection, overOwn)
  const { connectionsOpen } = broker.counts
  const over = broker.limits.admit(connection, peerAddress, user, connectionsOpen, replaced !== undefined, nowMs)
  if (over !== 0) return refuse(connection, over)
  // Only who was let in: nobody else can say whom he bans.
  if (broker.flapping?.isOneTooMany(clientIdentifier, nowMs) === true) return refuseBanned(connection)
  return enter(connection, packet, user, clientIdentifier)
}

/** The client may connect: its session is looked for or made. */
function enter(
  connection: Connection,
  packet: ConnectPacket,
  user: string,
  clientIdentifier = packet.clientIdentifier
): ConnectOutcome {
  const { broker } = connection
  const tenant = 0
  connection.client = new Client({ tenant, user, clientIdentifier }, packet, connection.socket)
  if (packet.will !== undefined && isRefusedName(broker, packet.will.topic, connection.client)) {
    return refuse(connection, Reason.NOT_AUTHORIZED)
  }
  let refusal: ConnectOutcome | undefined
  let isInPlace = true
  broker.sessions.open({
    connection,
    connect: packet,
    clientIdentifier,
    tenant,
    opened: (opened) => {
      if (opened !== undefined) {
        acceptConnection(connection, packet, opened, packet.clientIdentifier === "")
        return
      }
      refusal = refuse(connection, Reason.QUOTA_EXCEEDED)
      if (!isInPlace) connection.close(Reason.QUOTA_EXCEEDED)
    }
  })
  isInPlace = false
  return refusal ?? { kind: "opening" }
}

/** The session is there: the CONNACK goes out when all that it speaks of is committed, and everything else behind it. */
function acceptConnection(connection: Connection, packet: ConnectPacket, opened: Opened, assigned: boolean): void {
  const { broker } = connection
  const { session, present } = opened
  const { journal } = broker.services
  session.windowLimit = Math.min(packet.receiveMaximum, broker.settings.inflight_max)
  let { ticket } = opened
  if (packet.will !== undefined) {
    const number = broker.wills.keep(packet.will, connection.client, session.expiryInterval)
    connection.will = { number, message: packet.will }
    broker.sessions.keepWill(session, number)
    ticket = journal.tickets.issued
  }
  const aliasMax = Math.min(packet.topicAliasMaximum, broker.settings.outbound_topic_alias_max)
  if (aliasMax > 0) connection.outboundAliases = new OutboundAliases(aliasMax)
  // Who is inside cannot be lost without a word.
  const { isHosted } = connection.listener
  const keepAlive = isHosted ? 0 : effectiveKeepAlive(packet.keepAlive, broker.settings.keep_alive_max)
  connection.keepAliveMs = keepAlive * 1_500
  const answer = accepted(connection, packet, session, present, keepAlive, assigned)
  // Taken from here on: a second connection of this client takes the place of this one, also before its CONNACK.
  session.connection = connection
  connection.opening = session
  const frame = connackWithin(connection, answer)
  if (frame === undefined) {
    connection.close(PACKET_TOO_LARGE)
    return
  }
  connection.answers.answer(frame, journal.tickets, ticket, () => connection.open(session))
}

/** The CONNACK, without what a client can do without where it takes no more; undefined where it takes none [MQTT-3.1.2-24]. */
function connackWithin({ version, packetSizeMax }: Connection, answer: ConnackPacket): Uint8Array | undefined {
  const { topicAliasMaximum, maximumPacketSize, responseInformation, ...least } = answer
  for (const packet of [answer, least]) {
    const size = connackSize(version, packet)
    if (size > packetSizeMax) continue
    const frame = new Uint8Array(size)
    writeConnack(frame, 0, version, packet)
    return frame
  }
  return undefined
}

function accepted(
  connection: Connection,
  packet: ConnectPacket,
  session: Session,
  sessionPresent: boolean,
  keepAlive: number,
  assigned: boolean
): ConnackPacket {
  const { authentication, broker } = connection
  const { settings } = broker
  return {
    sessionPresent,
    reasonCode: 0,
    ...(session.expiryInterval !== packet.sessionExpiryInterval && { sessionExpiryInterval: session.expiryInterval }),
    ...(settings.receive_maximum !== 65_535 && { receiveMaximum: settings.receive_maximum }),
    maximumPacketSize: connection.listener.settings.packet_size_max,
    ...(assigned && { assignedClientIdentifier: session.clientIdentifier }),
    ...(settings.topic_alias_maximum > 0 && { topicAliasMaximum: settings.topic_alias_maximum }),
    ...(!settings.shared_subscriptions && { sharedSubscriptionAvailable: false }),
    ...(keepAlive !== packet.keepAlive && { serverKeepAlive: keepAlive }),
    ...(packet.requestResponseInformation &&
      settings.response_information !== "" && {
        responseInformation: settings.response_information.replaceAll(/\$\{clientid\}/g, () => session.clientIdentifier)
      }),
    ...(authentication !== undefined && {
      authenticationMethod: authentication.method,
      authenticationData: authentication.data
    })
  }
}

function effectiveKeepAlive(wished: number, maximum: number): number {
  if (maximum === 0) return wished
  return wished === 0 ? maximum : Math.min(wished, maximum)
}

/** Says why a CONNECT is refused, in the form of its version. */
export function refuse(connection: Connection, reasonCode: number): ConnectOutcome {
  const code = connection.version === 5 ? reasonCode : returnCodeOf(reasonCode)
  if (code >= 0) sendRefusal(connection, code)
  return { kind: "refused", reasonCode }
}

/** A CONNACK that says no, and in version 5 why, unless it would be larger than the client takes [MQTT-3.2.2-19]. */
function sendRefusal(connection: Connection, reasonCode: number): void {
  const bare = { sessionPresent: false, reasonCode }
  const reasonString = connection.version === 5 ? reasonStringOf(reasonCode) : undefined
  const whole = { ...bare, ...(reasonString !== undefined && { reasonString }) }
  sendConnack(connection, connackSize(connection.version, whole) <= connection.packetSizeMax ? whole : bare)
}

function sendConnack(connection: Connection, packet: ConnackPacket): void {
  const position = connection.reserve(connackSize(connection.version, packet))
  writeConnack(connection.output.bytes, position, connection.version, packet)
  connection.broker.counts.sent(CONNACK)
}
