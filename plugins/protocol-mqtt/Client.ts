/**
 * The client of a connection as its CONNECT introduced it, and as access rules see it. Its address is asked of the socket, which keeps it in
 * less than a string.
 */
import type { Principal, Socket } from "../../core/mod.ts"

export class Client implements Principal {
  readonly tenant: number
  readonly user: string
  readonly clientIdentifier: string
  /** Whether it wants to be told why something was refused. */
  readonly requestProblemInformation: boolean
  /** The Session Expiry Interval that it asked for, seconds. */
  readonly sessionExpiry: number
  readonly #socket: Pick<Socket, "peerAddress">

  constructor(
    principal: Pick<Principal, "tenant" | "user" | "clientIdentifier">,
    packet: { readonly requestProblemInformation: boolean; readonly sessionExpiryInterval: number },
    socket: Pick<Socket, "peerAddress">
  ) {
    this.tenant = principal.tenant
    this.user = principal.user
    this.clientIdentifier = principal.clientIdentifier
    this.requestProblemInformation = packet.requestProblemInformation
    this.sessionExpiry = packet.sessionExpiryInterval
    this.#socket = socket
  }

  get peerAddress(): string {
    return this.#socket.peerAddress
  }
}

/** Until a CONNECT was accepted. */
export const NOBODY = new Client(
  { tenant: 0, user: "", clientIdentifier: "" },
  { requestProblemInformation: true, sessionExpiryInterval: 0 },
  { peerAddress: "" }
)
