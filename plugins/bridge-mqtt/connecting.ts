/**
 * How a bridge connects: the session here first, then the remote's, and what has to be said where one of them is new.
 *
 * Invariants
 *  - The remote begins anew where its session was not made for ours; ours forgets what it has received where the remote's is new. After
 *    either, what is in flight from here is sent again, and no packet identifier means two messages.
 *  - Nothing passes before a row says that the two sessions agree: after a crash before that, the remote begins anew once more.
 *
 * Source: MQTT 5.0 sections 3.1.2.4, 3.2.2.1.1, 4.1, 4.4; MQTT 3.1.1 the same.
 */
import { Effect, type Scope } from "effect"
import type { ClockShape, FilesShape, NetShape, Resource, ShardShape, TlsClientOptions } from "../../core/mod.ts"
import { type Agreed, type Agreements, writeRow } from "./Agreement.ts"
import type { Bridge } from "./Bridge.ts"
import { passwordOf, tlsOf } from "./credentials.ts"
import { Link } from "./Link.ts"
import { LinkError, refusalText } from "./LinkError.ts"
import { type BridgeSettings, versionOf } from "./Settings.ts"
import { type SessionFacts, sessionFacts } from "./session-facts.ts"
import { askRetained, isSame, localFilters, subscribeHere, subscribeThere } from "./subscribing.ts"
import { TopicMap } from "./TopicMap.ts"
import { isOver, untilBounded } from "./waiting.ts"
import { type Connack, shown } from "./wire/answers.ts"
import type { Connect } from "./wire/requests.ts"

const EVER = 0xffffffff
export interface ConnectParts {
  readonly bridge: Bridge
  readonly net: NetShape
  readonly files: Pick<FilesShape, "readText">
  readonly clock: ClockShape
  readonly shard: ShardShape
  readonly agreements: Agreements
  readonly resources: () => ReadonlyArray<Resource>
  /** What this broker is called where nobody else is called so. */
  readonly identity: string
}

/** Connects and stays, until it fails with the reason of its end. With `onlyHere` the session here is made, and that is all: reason "". */
export function connect(parts: ConnectParts, onlyHere = false): Effect.Effect<never, LinkError, Scope.Scope> {
  return Effect.gen(function* () {
    const { bridge, agreements } = parts
    const { settings } = bridge
    const clientId = settings.client_id === "" ? `manifold-${parts.identity}-${settings.name}` : settings.client_id
    const facts = yield* sessionFacts(parts.resources, bridge.clientIdentifier)
    bridge.facts = facts
    const before = agreements.read(settings.name)
    const known = facts === undefined ? undefined : before
    // First: a session that is begun here must not be taken for the one of the row.
    if (facts === undefined && before !== undefined) yield* write(parts, undefined)
    const isAgreed = known?.isAgreed === true && known.remote === settings.remote && known.clientId === clientId
    let agreed: Agreed = {
      remote: settings.remote,
      clientId,
      isAgreed,
      local: known?.local ?? [],
      retained: isAgreed ? known.retained : [],
      there: isAgreed ? known.there : [],
      qos: isAgreed ? known.qos : 0
    }
    if (
      !bridge.isPrepared ||
      facts === undefined ||
      !isSame(agreed.local, localFilters(settings)) ||
      isOver(facts, parts)
    ) {
      yield* Effect.scoped(prepare(parts, known, facts))
      const local = localFilters(settings)
      // Of one that was taken out and comes back later the remote has to have them again.
      agreed = { ...agreed, local, retained: agreed.retained.filter((filter) => local.includes(filter)) }
      yield* write(parts, agreed)
      bridge.isPrepared = true
    }
    if (onlyHere) return yield* new LinkError({ reason: "" })
    const secret = yield* passwordOf(settings, parts.files)
    const tls = yield* tlsOf(settings, parts.files)
    const dial: Dial = (cleanStart) => connectThere(parts, connectPacket(bridge, clientId, secret, cleanStart), tls)
    // A session that was begun clean ends with its connection, in 3.1.1 by the standard, and some brokers do not save one of 5.0.
    if (!isAgreed) yield* Effect.scoped(dial(true))
    const { link, connack: there } = yield* dial(false)
    if (!isAgreed && there.sessionPresent) {
      return yield* new LinkError({ reason: "the remote has kept a session that was to begin anew" })
    }
    if (!there.sessionPresent) bridge.refusals.forget("in")
    if (bridge.refusals.has("in")) {
      // A disk that is full refuses this, too; what is refused none the less is refused for itself.
      yield* write(parts, agreed)
      bridge.refusals.taken("in", 0)
    }
    const hasLost = isAgreed && !there.sessionPresent
    if (hasLost) {
      // Before anything else: who is killed here has to know that the identifiers of before are not free yet.
      agreed = { ...agreed, isAgreed: false, retained: [], there: [], qos: 0 }
      yield* write(parts, agreed)
      bridge.remoteForgot()
    }
    if (!there.sessionPresent && (facts?.received ?? 0) > 0) yield* Effect.scoped(sweep(parts))
    const receiveMaximum = Math.min(there.receiveMaximum, settings.inflight_max)
    const here = yield* connectHere(parts, link, { receiveMaximum, isNew: false, holds: true })
    const qos = Math.max(agreed.qos, there.maximumQos)
    if (!agreed.isAgreed || agreed.qos !== qos) {
      agreed = { ...agreed, isAgreed: true, qos }
      yield* write(parts, agreed)
    }
    link.begin({
      maximumQos: there.maximumQos,
      sessionQos: qos,
      retainAvailable: there.retainAvailable,
      remotePacketSizeMax: there.maximumPacketSize,
      localPacketSizeMax: here.maximumPacketSize,
      outTopics: new TopicMap(
        settings.out.map(({ filter, qos, local_prefix: from, remote_prefix: to }) => ({ filter, qos, from, to }))
      ),
      inTopics: new TopicMap(
        settings.in.map(({ filter, qos, local_prefix: to, remote_prefix: from }) => ({ filter, qos, from, to }))
      ),
      own: new TextEncoder().encode(parts.identity),
      hopsMax: settings.hops_max,
      counts: bridge.counts,
      refusals: bridge.refusals,
      dropped: (direction, why) => bridge.dropped(direction, why)
    })
    link.keepAlive(keepAliveOf(settings.keep_alive, there.keepAlive))
    link.releaseRemote()
    const troubles = yield* subscribeThere(parts, link, agreed, there.maximumPacketSize)
    bridge.warn([...sessionTroubles(settings, there, hasLost), ...troubles].join("; "))
    link.releaseLocal()
    yield* askRetained(parts, link, agreed, here.maximumPacketSize)
    // Where nobody was asked for anything one of them may have gone by now.
    yield* link.stands
    bridge.connected()
    return yield* link.ended
  })
}

/** Connects to the remote. */
type Dial = (cleanStart: boolean) => Effect.Effect<{ link: Link; connack: Connack }, LinkError, Scope.Scope>

/** A link whose remote has accepted the connection; it ends with the scope. */
function connectThere(
  parts: ConnectParts,
  packet: Connect,
  tls: TlsClientOptions | undefined
): Effect.Effect<{ link: Link; connack: Connack }, LinkError, Scope.Scope> {
  return Effect.gen(function* () {
    const { bridge, net } = parts
    const link = yield* linkOf(parts)
    bridge.has(link)
    const dialled = net.connectTcp(bridge.settings.remote, link.remote.accept, tls)
    // An administrator does not wait for a network that says nothing.
    yield* Effect.raceFirst(
      Effect.mapError(dialled, ({ reason }) => new LinkError({ reason })),
      link.ended
    )
    const connack = yield* link.connectRemote(packet)
    return connack.reasonCode === 0 ? { link, connack } : yield* refused(bridge, connack)
  })
}

/** A link that ends with the scope, in order. */
function linkOf({ bridge, clock, shard }: ConnectParts): Effect.Effect<Link, never, Scope.Scope> {
  const { packet_size_max: packetSizeMax, answer_timeout } = bridge.settings
  const remoteVersion = versionOf(bridge.settings)
  return Effect.acquireRelease(
    Effect.sync(() => new Link({ clock, shard, remoteVersion, packetSizeMax, answerMs: answer_timeout * 1_000 })),
    (link) => Effect.sync(() => link.end("it was stopped"))
  )
}

/** How the session here is connected to: it has to be there, or is begun anew. With `holds` nothing behind its CONNACK is read yet. */
interface Here {
  readonly receiveMaximum: number
  readonly isNew: boolean
  readonly holds: boolean
}

function connectHere(parts: ConnectParts, link: Link, { receiveMaximum, isNew, holds }: Here) {
  const { bridge } = parts
  return link
    .connectLocal(
      {
        clientIdentifier: bridge.clientIdentifier,
        cleanStart: isNew,
        sessionExpiryInterval: EVER,
        receiveMaximum
      },
      holds
    )
    .pipe(
      Effect.flatMap((connack): Effect.Effect<Connack, LinkError> => {
        const { reasonCode, sessionPresent } = connack
        if (reasonCode !== 0) {
          return Effect.fail(new LinkError({ reason: `this broker refused the bridge: 0x${reasonCode.toString(16)}` }))
        }
        if (isNew) bridge.refusals.forget("out")
        if (isNew || sessionPresent) return Effect.succeed(connack)
        // Somebody has ended it just now, and this has begun an empty one, for which nothing was agreed: the next attempt begins anew.
        bridge.isPrepared = false
        const gone = new LinkError({ reason: "its session here has gone" })
        return write(parts, undefined).pipe(Effect.flatMap(() => Effect.fail(gone)))
      })
    )
}

/**
 * Has the session here forget which packet identifiers the former session of the remote had in use: to the new one they are free. On a
 * connection of its own, on which what waits for the remote is passed over.
 */
function sweep(parts: ConnectParts): Effect.Effect<void, LinkError, Scope.Scope> {
  return Effect.gen(function* () {
    const link = yield* linkOf(parts)
    yield* connectHere(parts, link, { receiveMaximum: 1, isNew: false, holds: false })
    yield* link.sweepLocal()
  })
}

/** Makes the session here what the options ask for, and has its bounds applied to what waits. */
function prepare(
  parts: ConnectParts,
  known: Agreed | undefined,
  facts: SessionFacts | undefined
): Effect.Effect<void, LinkError, Scope.Scope> {
  return Effect.gen(function* () {
    const { counts } = parts.bridge
    const gapsBefore = counts.gaps
    const link = yield* linkOf(parts)
    // Room for no message more, or each time that the bounds are applied one of them would get where there are none.
    const receiveMaximum = Math.min(65_535, Math.max(1, facts?.inflight ?? 0))
    // A session that no row tells of was somebody else's.
    const { maximumPacketSize } = yield* connectHere(parts, link, {
      receiveMaximum,
      isNew: known === undefined,
      holds: false
    })
    yield* subscribeHere(parts, link, known, maximumPacketSize)
    if (facts !== undefined) yield* untilBounded(gapsBefore, facts, parts)
  })
}

/** What the remote has not kept of the session, or will not. */
function sessionTroubles(
  { session_expiry }: BridgeSettings,
  { sessionExpiryInterval: granted }: Connack,
  hasLost: boolean
): ReadonlyArray<string> {
  return [
    ...(hasLost ? ["the remote had lost its session"] : []),
    ...(granted >= 0 && granted < session_expiry ? [`the remote keeps the session for ${granted} s only`] : [])
  ]
}

/** Seconds: the remote may want to be asked more often, but not that its death is noticed later. */
function keepAliveOf(own: number, asked: number): number {
  if (asked <= 0) return own
  return own === 0 ? asked : Math.min(own, asked)
}

function connectPacket(
  { settings, isPrivateRefused, refusals }: Bridge,
  clientIdentifier: string,
  password: string,
  cleanStart: boolean
): Connect {
  return {
    version: versionOf(settings),
    isPrivate: settings.try_private && !isPrivateRefused,
    clientIdentifier,
    cleanStart,
    keepAlive: settings.keep_alive,
    username: settings.username === "" ? undefined : settings.username,
    password: password === "" ? undefined : password,
    sessionExpiryInterval: cleanStart ? 0 : settings.session_expiry,
    receiveMaximum: refusals.isSuspicious ? 1 : settings.inflight_max,
    maximumPacketSize: settings.packet_size_max
  }
}

/** The CONNACK says no. */
function refused(bridge: Bridge, { reasonCode, reasonString }: Connack): LinkError {
  const { protocol, try_private } = bridge.settings
  if (protocol === "3.1.1" && reasonCode === 1 && try_private && !bridge.isPrivateRefused) {
    bridge.isPrivateRefused = true
    return new LinkError({ reason: "the remote does not know what a bridge is: it is not told again" })
  }
  return new LinkError({ reason: refusalText(reasonCode) + (reasonString === "" ? "" : ` (${shown(reasonString)})`) })
}

function write({ bridge, agreements }: ConnectParts, agreed: Agreed | undefined): Effect.Effect<void, LinkError> {
  return writeRow(agreements, bridge.settings.name, agreed)
}
