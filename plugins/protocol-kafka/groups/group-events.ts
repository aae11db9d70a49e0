/**
 * What a classic group is asked and what it answers: plain data, neither a message of a version nor a row.
 *
 * Source: KIP-62, KIP-345 (static members), KIP-394 (member id required), KIP-559, KIP-814 (skipped assignments).
 */

/** How a member can divide the work, and what it says for that; opaque. */
export interface Protocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** A member as its connection knows it. */
export interface ClientFacts {
  readonly clientId: string
  /** As Java writes an address: "/127.0.0.1". */
  readonly clientHost: string
}

export interface JoinRequest extends ClientFacts {
  /** "" = a new one. */
  readonly memberId: string
  /** Null = a dynamic member. */
  readonly instanceId: string | null
  readonly protocolType: string
  /** The one it likes best first. */
  readonly protocols: ReadonlyArray<Protocol>
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** A new dynamic member is told its id first and has to come again with it (version 4 on). */
  readonly needsKnownId: boolean
  /** A static leader that comes back may be told that its assignment holds (version 9 on). */
  readonly maySkipAssignment: boolean
}

export interface JoinedMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly metadata: Uint8Array
}

export interface JoinAnswer {
  readonly errorCode: number
  /** -1 with an error. */
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly memberId: string
  readonly skipAssignment: boolean
  /** The leader alone is told of all. */
  readonly members: ReadonlyArray<JoinedMember>
}

export interface SyncRequest {
  readonly memberId: string
  readonly instanceId: string | null
  readonly generation: number
  /** Null = not said (before version 5). */
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** Of the leader: who gets what, by member id. */
  readonly assignments: ReadonlyMap<string, Uint8Array>
}

export interface SyncAnswer {
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

/** Gets an answer once, within the call or later. */
export type Reply<Answer> = (answer: Answer) => void

export const NO_BYTES: Uint8Array = new Uint8Array(0)

export function joinError(errorCode: number, memberId: string): JoinAnswer {
  return {
    errorCode,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    memberId,
    skipAssignment: false,
    members: []
  }
}

export function syncError(errorCode: number): SyncAnswer {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_BYTES }
}
