/**
 * Enhanced authentication on one connection: the exchange before the CONNACK, and any number of them after it.
 *
 * Source: MQTT 5.0 sections 3.15, 4.12.
 * Invariants
 *  - Every AUTH names the method of the CONNECT [MQTT-4.12.0-5]; one that names another is a Protocol Error.
 *  - Before the CONNACK nothing but AUTH and DISCONNECT is taken [MQTT-3.1.2-30].
 *  - A client that authenticates again stays who it is; where that fails its connection ends [MQTT-4.12.1-2].
 */
import { SCRAM_SHA_256, type ScramServer, type ScramStep } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import { admit, type ConnectOutcome, refuse } from "./connecting.ts"
import * as Reason from "./reasons.ts"
import type { ScramUsers } from "./ScramUsers.ts"
import { type AuthPacket, authSize, decodeAuth, writeAuth } from "./wire/auth.ts"
import type { ConnectPacket } from "./wire/connect.ts"
import * as Packet from "./wire/packet-types.ts"
import {
  CONTINUE_AUTHENTICATION,
  PACKET_TOO_LARGE,
  PROTOCOL_ERROR,
  REAUTHENTICATE,
  SUCCESS
} from "./wire/reason-codes.ts"
import { Refusal } from "./wire/refusal.ts"

const NO_BYTES = new Uint8Array(0)

export class Authentication {
  readonly method = SCRAM_SHA_256
  /** What proves the server to the client: for the CONNACK. */
  data: Uint8Array = NO_BYTES
  readonly #connection: Connection
  readonly #users: ScramUsers
  /** Until the CONNACK: what it was asked with. */
  #connect: ConnectPacket | undefined
  /** The one that is under way. */
  #exchange: ScramServer | undefined
  #user = ""

  constructor(connection: Connection, users: ScramUsers, connect: ConnectPacket) {
    this.#connection = connection
    this.#users = users
    this.#connect = connect
  }

  /** The CONNECT, which may bring the client's first message. */
  begin(): ConnectOutcome {
    this.#exchange = this.#users.exchange()
    const data = this.#connect?.authenticationData
    if (data !== undefined) return this.#goOn(data)
    // As SASL has it where the client waits to be asked.
    this.#send(CONTINUE_AUTHENTICATION, undefined)
    return AUTHENTICATING
  }

  /** A packet before the CONNACK. */
  receive(type: number, bytes: Uint8Array, start: number, end: number): ConnectOutcome {
    if (type === Packet.DISCONNECT) {
      this.#connection.close(Reason.NORMAL_DISCONNECTION)
      return AUTHENTICATING
    }
    if (type !== Packet.AUTH) return refuse(this.#connection, PROTOCOL_ERROR)
    const packet = decodeAuth(bytes, start, end)
    if (packet instanceof Refusal) return refuse(this.#connection, packet.reasonCode)
    if (packet.reasonCode !== CONTINUE_AUTHENTICATION || packet.authenticationMethod !== this.method) {
      return refuse(this.#connection, PROTOCOL_ERROR)
    }
    return this.#goOn(packet.authenticationData ?? NO_BYTES)
  }

  /** An AUTH after the CONNACK; returns 0, or why the connection ends. */
  receiveAgain(bytes: Uint8Array, start: number, end: number): number {
    const packet = decodeAuth(bytes, start, end)
    if (packet instanceof Refusal) return packet.reasonCode
    const isNew = packet.reasonCode === REAUTHENTICATE
    if (packet.authenticationMethod !== this.method || isNew === (this.#exchange !== undefined)) return PROTOCOL_ERROR
    const data = packet.authenticationData
    this.#exchange ??= this.#users.exchange()
    if (isNew && data === undefined) {
      this.#send(CONTINUE_AUTHENTICATION, undefined)
      return 0
    }
    const step = this.#step(data ?? NO_BYTES)
    if (step.kind === "challenge") this.#send(CONTINUE_AUTHENTICATION, step.data)
    else if (step.kind === "success" && step.user === this.#user) this.#send(SUCCESS, step.data)
    else return Reason.NOT_AUTHORIZED
    return 0
  }

  #goOn(data: Uint8Array): ConnectOutcome {
    const connection = this.#connection
    const step = this.#step(data)
    if (step.kind === "challenge") {
      this.#send(CONTINUE_AUTHENTICATION, step.data)
      return AUTHENTICATING
    }
    const connect = this.#connect
    if (step.kind === "failure" || connect === undefined) return refuse(connection, Reason.NOT_AUTHORIZED)
    this.#connect = undefined
    this.#user = step.user
    this.data = step.data
    return admit(connection, connect, step.user)
  }

  #step(data: Uint8Array): ScramStep {
    const step = this.#exchange?.step(data) ?? { kind: "failure" }
    if (step.kind !== "challenge") this.#exchange = undefined
    if (step.kind === "failure") this.#connection.broker.counts.authenticationsFailed += 1
    return step
  }

  #send(reasonCode: number, data: Uint8Array | undefined): void {
    const connection = this.#connection
    const packet: AuthPacket = {
      reasonCode,
      authenticationMethod: this.method,
      ...(data !== undefined && { authenticationData: data }),
      userProperties: []
    }
    const size = authSize(packet)
    // A client that takes no packet of this size cannot be asked [MQTT-3.1.2-24].
    if (size > connection.packetSizeMax) {
      connection.close(PACKET_TOO_LARGE)
      return
    }
    const position = connection.reserve(size)
    writeAuth(connection.output.bytes, position, packet)
    connection.broker.counts.sent(Packet.AUTH)
  }
}

const AUTHENTICATING: ConnectOutcome = { kind: "authenticating" }
