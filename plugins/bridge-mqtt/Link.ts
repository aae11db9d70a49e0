/**
 * One connection of a bridge: its two sides, how they begin, and the relay between them until one of them goes. Then both go.
 *
 * Invariants
 *  - Nothing passes before both sessions are known to agree: until then packets wait where they came in.
 *  - The end is told once; whatever the reason, both sides are closed by then.
 */
import { Effect } from "effect"
import type { ClockShape, ShardShape, Timer } from "../../core/mod.ts"
import { LinkError } from "./LinkError.ts"
import { LocalSide } from "./LocalSide.ts"
import { Relay, type RelayParts } from "./Relay.ts"
import { RemoteSide } from "./RemoteSide.ts"
import { type Connack, decodeCodes, decodeConnack, decodeDisconnect, Malformed } from "./wire/answers.ts"
import { OutBuffer } from "./wire/OutBuffer.ts"
import { FOUND, NEED_MORE } from "./wire/PacketReader.ts"
import * as Packet from "./wire/packet-types.ts"
import { type Connect, writeAcknowledgement, writeConnect, writeDisconnect, writePing } from "./wire/requests.ts"

export interface LinkParts {
  readonly clock: ClockShape
  readonly shard: ShardShape
  readonly remoteVersion: Packet.Version
  /** Bytes of a packet of the remote. */
  readonly packetSizeMax: number
  /** How long the remote may take to answer what is asked of it, ms. */
  readonly answerMs: number
}

/** What is under way has this long to be answered, once a message was refused for now. */
const ENDING_MS = 300

/** What a CONNECT to this broker says of each client that it runs itself. */
const HOSTED = {
  version: 5,
  isPrivate: false,
  keepAlive: 0,
  username: undefined,
  password: undefined,
  maximumPacketSize: 0
} as const

/** And what differs. */
type LocalConnect = Omit<Connect, keyof typeof HOSTED>

/** What somebody waits for. */
interface Waiting<Value> {
  arrived(value: Value): void
}

/** Codes that answer a SUBSCRIBE or UNSUBSCRIBE. */
type Codes = Uint8Array

export class Link {
  readonly local: LocalSide
  readonly remote: RemoteSide
  readonly toLocal = new OutBuffer()
  readonly #parts: LinkParts
  #relay: Relay | undefined
  /** Not "" : it has ended, for this reason. */
  #reason = ""
  #isClosing = false
  readonly #whenEnded = new Set<(reason: string) => void>()
  #localConnack: Waiting<Connack> | undefined
  #remoteConnack: Waiting<Connack> | undefined
  #localCodes: Waiting<Codes> | undefined
  #remoteCodes: Waiting<Codes> | undefined
  /** PUBCOMPs that answer this side's own PUBRELs, still to come. */
  #sweeping = 0
  #swept: Waiting<void> | undefined
  #isLocalHeld = false
  #isRemoteHeld = true
  #isRemotePaused = false
  #isFlushDue = false
  #keepAlive: Timer | undefined
  #ending: Timer | undefined
  #lastReceivedMs = 0

  constructor(parts: LinkParts) {
    this.#parts = parts
    this.local = new LocalSide(this, parts.clock)
    this.remote = new RemoteSide(this, parts.packetSizeMax)
  }

  // What its beginning is made of.

  /** CONNECT to this broker, and its CONNACK. With `holds` nothing behind that is read until {@link Link.releaseLocal}. */
  connectLocal(connect: LocalConnect, holds: boolean): Effect.Effect<Connack, LinkError> {
    return this.#await("this broker's CONNACK", (waiting: Waiting<Connack>) => {
      this.#localConnack = {
        arrived: (connack) => {
          this.#isLocalHeld = holds
          waiting.arrived(connack)
        }
      }
      this.local.open(this.#parts.shard)
      writeConnect(this.toLocal, { ...HOSTED, ...connect })
      this.flush()
    })
  }

  /** CONNECT to the remote, whose socket is there; nothing behind the CONNACK is read until {@link Link.releaseRemote}. */
  connectRemote(connect: Connect): Effect.Effect<Connack, LinkError> {
    return this.#await("the remote's CONNACK", (waiting: Waiting<Connack>) => {
      this.#remoteConnack = waiting
      this.#isRemoteHeld = false
      writeConnect(this.remote.out, connect)
      this.flush()
    })
  }

  /** Writes a SUBSCRIBE or UNSUBSCRIBE to a side and waits for what it answers. */
  askLocal(write: (out: OutBuffer) => void): Effect.Effect<Codes, LinkError> {
    return this.#await("this broker's SUBACK", (waiting: Waiting<Codes>) => {
      this.#localCodes = waiting
      write(this.toLocal)
      this.flush()
    })
  }

  askRemote(write: (out: OutBuffer) => void): Effect.Effect<Codes, LinkError> {
    return this.#await("the remote's SUBACK", (waiting: Waiting<Codes>) => {
      this.#remoteCodes = waiting
      write(this.remote.out)
      this.flush()
    })
  }

  /** Says of every packet identifier to this broker that it is free: a new session of the remote knows nothing of those in use. */
  sweepLocal(): Effect.Effect<void, LinkError> {
    return this.#await("this broker's PUBCOMPs", (waiting: Waiting<void>) => {
      this.#swept = waiting
      this.#sweeping = 65_535
      for (let identifier = 1; identifier <= 65_535; identifier++) {
        writeAcknowledgement(this.toLocal, 5, Packet.PUBREL, identifier)
      }
      this.flush()
    })
  }

  /** From now on packets pass from the remote, and to it. */
  begin(parts: Omit<RelayParts, "toLocal" | "toRemote" | "remoteVersion" | "endSoon">): void {
    const { remoteVersion, clock } = this.#parts
    const endSoon = (reason: string): void => {
      this.#ending ??= clock.after(ENDING_MS, () => this.end(reason))
    }
    this.#relay = new Relay({ ...parts, toLocal: this.toLocal, toRemote: this.remote.out, remoteVersion, endSoon })
  }

  releaseRemote(): void {
    this.#isRemoteHeld = false
    this.remoteCame()
    this.#readRemote()
  }

  releaseLocal(): void {
    this.#isLocalHeld = false
    this.localCame()
    this.local.drained()
  }

  /** Pings the remote, which must say something; `seconds` = 0: never. */
  keepAlive(seconds: number): void {
    if (seconds === 0 || this.#reason !== "") return
    const { clock } = this.#parts
    const intervalMs = seconds * 750
    this.#lastReceivedMs = clock.monotonicMs()
    const look = (): void => {
      const nowMs = clock.monotonicMs()
      // While this broker takes nothing silence is our own; where the remote takes nothing it is the remote's.
      if (this.#isRemotePaused) this.#lastReceivedMs = nowMs
      if (nowMs - this.#lastReceivedMs > intervalMs * 2) {
        this.end("the remote has been silent for too long")
        return
      }
      writePing(this.remote.out)
      this.flush()
      this.#keepAlive = clock.after(intervalMs, look)
    }
    this.#keepAlive = clock.after(intervalMs, look)
  }

  /** Fails with the reason where it has ended. */
  get stands(): Effect.Effect<void, LinkError> {
    return Effect.suspend(() =>
      this.#reason === "" ? Effect.void : Effect.fail(new LinkError({ reason: this.#reason }))
    )
  }

  /** Fails with the reason when it ends. */
  get ended(): Effect.Effect<never, LinkError> {
    return Effect.callback<never, LinkError>((resume) => {
      const told = (reason: string): void => resume(Effect.fail(new LinkError({ reason })))
      if (this.#reason !== "") told(this.#reason)
      else this.#whenEnded.add(told)
      return Effect.sync(() => this.#whenEnded.delete(told))
    })
  }

  /** Ends it: both sides are told, in order where there is time. */
  end(reason: string): void {
    if (this.#reason !== "") return
    this.#reason = reason === "" ? "it ended" : reason
    this.#isClosing = true
    this.#keepAlive?.cancel()
    this.#ending?.cancel()
    // What was acknowledged already is worth passing on; then goodbye.
    writeDisconnect(this.toLocal)
    writeDisconnect(this.remote.out)
    this.flush()
    this.remote.end()
    const told = [...this.#whenEnded]
    this.#whenEnded.clear()
    for (const each of told) each(this.#reason)
    this.#parts.clock.microtask(() => this.local.close())
  }

  // What the sides call.

  get isFull(): boolean {
    return (this.remote.isFull || this.#isLocalHeld) && !this.#isClosing
  }

  localCame(): void {
    const { reader } = this.local
    while (!this.#isLocalHeld && this.#reason === "") {
      const found = reader.next()
      if (found === NEED_MORE) break
      const fault = found === FOUND ? this.#fromLocal() : `this broker sent ${reader.fault}`
      if (fault !== "") this.end(fault)
    }
    this.flush()
  }

  remoteCame(): void {
    this.#lastReceivedMs = this.#parts.clock.monotonicMs()
    const { reader } = this.remote
    while (!this.#isRemoteHeld && this.#reason === "" && this.#hasRoomForAnswers()) {
      const found = reader.next()
      if (found === NEED_MORE) break
      const fault = found === FOUND ? this.#fromRemote() : `the remote sent ${reader.fault}`
      if (fault !== "") this.end(fault)
    }
    this.flush()
    this.#readRemote()
  }

  localPaused(isPaused: boolean): void {
    this.#isRemotePaused = isPaused
    this.#readRemote()
  }

  remoteDrained(): void {
    this.#lastReceivedMs = this.#parts.clock.monotonicMs()
    if (this.remote.isFull) return
    this.local.drained()
    // What the remote sent while its answers were waiting.
    this.remoteCame()
  }

  localClosed(): void {
    this.end("this broker closed the connection")
  }

  remoteClosed(): void {
    this.end("the remote closed the connection")
  }

  /** Whether the remote takes what it is answered: one that sends and never reads is not read either. */
  #hasRoomForAnswers(): boolean {
    if (!this.remote.isFull) return true
    this.remote.flush()
    return !this.remote.isFull
  }

  /** Reads from the remote, or does not. */
  #readRemote(): void {
    if (this.#isRemotePaused || this.#isRemoteHeld || this.remote.isFull) this.remote.pause()
    else this.remote.resume()
  }

  /** Sends what was written to either side. */
  flush(): void {
    this.remote.flush()
    if (this.toLocal.length === 0) return
    if (this.local.mayBeSent) this.local.send(this.toLocal.take())
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true
      this.#parts.clock.microtask(() => {
        this.#isFlushDue = false
        this.flush()
      })
    }
  }

  #fromLocal(): string {
    const { bytes, firstByte, start, end } = this.local.reader
    const type = firstByte >>> 4
    switch (type) {
      case Packet.CONNACK:
        return tell(decodeConnack(bytes, start, end, 5), this.#localConnack)
      case Packet.SUBACK:
      case Packet.UNSUBACK:
        return tell(decodeCodes(bytes, start, end, 5, type), this.#localCodes)
      case Packet.DISCONNECT:
        this.#relay?.localEnded(bytes[start] ?? 0)
        return `this broker ended the connection: ${decodeDisconnect(bytes, start, end)}`
      case Packet.PINGRESP:
        return ""
    }
    if (type === Packet.PUBCOMP && this.#sweeping > 0) {
      this.#sweeping -= 1
      if (this.#sweeping === 0) this.#swept?.arrived()
      return ""
    }
    return this.#relay?.fromLocal(type, bytes, firstByte, start, end) ?? ""
  }

  #fromRemote(): string {
    const { bytes, firstByte, start, end, isCut } = this.remote.reader
    const type = firstByte >>> 4
    if (isCut) return this.#relay?.cutFromRemote(bytes, firstByte, start, end) ?? "the remote sent something else first"
    const version = this.#parts.remoteVersion
    const waiting = this.#remoteConnack
    if (waiting !== undefined) {
      if (type !== Packet.CONNACK) return "the remote sent something else before its CONNACK"
      this.#remoteConnack = undefined
      this.#isRemoteHeld = true
      return tell(decodeConnack(bytes, start, end, version), waiting)
    }
    switch (type) {
      case Packet.SUBACK:
      case Packet.UNSUBACK:
        return tell(decodeCodes(bytes, start, end, version, type), this.#remoteCodes)
      case Packet.PINGRESP:
        return ""
      case Packet.DISCONNECT:
        return version === 5
          ? `the remote ended the connection: ${decodeDisconnect(bytes, start, end)}`
          : "the remote sent a packet that is not a server's"
      case Packet.PUBLISH:
      case Packet.PUBACK:
      case Packet.PUBREC:
      case Packet.PUBREL:
      case Packet.PUBCOMP:
        return this.#relay?.fromRemote(type, bytes, firstByte, start, end) ?? ""
    }
    return "the remote sent a packet that is not a server's"
  }

  /** Waits for something that has to come in time, and before the end. */
  #await<Value>(what: string, begin: (waiting: Waiting<Value>) => void): Effect.Effect<Value, LinkError> {
    return Effect.callback<Value, LinkError>((resume) => {
      const stop = (): void => {
        timer.cancel()
        this.#whenEnded.delete(failed)
      }
      const failed = (reason: string): void => {
        stop()
        resume(Effect.fail(new LinkError({ reason })))
      }
      const timer = this.#parts.clock.after(this.#parts.answerMs, () => failed(`${what} has not come in time`))
      if (this.#reason !== "") failed(this.#reason)
      else {
        this.#whenEnded.add(failed)
        begin({
          arrived: (value) => {
            stop()
            resume(Effect.succeed(value))
          }
        })
      }
      return Effect.sync(stop)
    })
  }
}

/** Hands on what was decoded; "" or what is wrong with it. */
function tell<Value extends object>(decoded: Value | Malformed, waiting: Waiting<Value> | undefined): string {
  if (decoded instanceof Malformed) return `it was sent ${decoded.fault}`
  waiting?.arrived(decoded)
  return ""
}
