/**
 * The members of a group: who they are, who leads, which protocols they share.
 *
 * Invariants
 *  - An instance id belongs to one member at most; the leader is a member, and there is one as long as there are members.
 *  - {@link Roster.bytes} is what all members count for, whatever changes them.
 */
import { compareKeys } from "../../../core/mod.ts"
import { type JoinAnswer, NO_BYTES, type Protocol, type Reply, type SyncAnswer } from "./group-events.ts"

/** What one member takes beside its texts and bytes, about. */
const MEMBER_BYTES = 400
const PROTOCOL_BYTES = 64

/** One member; the roster's owner changes what is not readonly. */
export interface Member {
  readonly id: string
  readonly instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  readonly protocols: ReadonlyArray<Protocol>
  readonly assignment: Uint8Array
  /** Its session ends then, on the owner's clock; Infinity while it waits for an answer. */
  deadlineMs: number
  /** It has not been in a generation yet. */
  isNew: boolean
  /** There while it waits for the next generation. */
  join: Reply<JoinAnswer> | undefined
  /** There while it waits for its assignment. */
  sync: Reply<SyncAnswer> | undefined
}

/** About how many bytes a member with these takes. */
export function memberBytes(id: string, protocols: ReadonlyArray<Protocol>, assignment = NO_BYTES): number {
  let bytes = MEMBER_BYTES + 2 * id.length + assignment.length
  for (const { name, metadata } of protocols) bytes += PROTOCOL_BYTES + 2 * name.length + metadata.length
  return bytes
}

export class Roster {
  readonly #members = new Map<string, Member>()
  readonly #instances = new Map<string, Member>()
  #leader: string | undefined
  bytes = 0

  get size(): number {
    return this.#members.size
  }
  get leader(): string | undefined {
    return this.#leader
  }
  all(): Iterable<Member> {
    return this.#members.values()
  }
  get(id: string): Member | undefined {
    return this.#members.get(id)
  }
  byInstance(instanceId: string): Member | undefined {
    return this.#instances.get(instanceId)
  }

  add(member: Member): void {
    this.#members.set(member.id, member)
    if (member.instanceId !== null) this.#instances.set(member.instanceId, member)
    this.#leader ??= member.id
    this.bytes += memberBytes(member.id, member.protocols, member.assignment)
  }

  remove(member: Member): void {
    this.#members.delete(member.id)
    if (member.instanceId !== null && this.#instances.get(member.instanceId) === member) {
      this.#instances.delete(member.instanceId)
    }
    if (this.#leader === member.id) this.#leader = this.#members.keys().next().value
    this.bytes -= memberBytes(member.id, member.protocols, member.assignment)
  }

  /** Puts `member` in the place of a static one; it leads where that one did. */
  replace(old: Member, member: Member): void {
    const led = this.#leader === old.id
    this.remove(old)
    this.add(member)
    if (led) this.#leader = member.id
  }

  lead(member: Member): void {
    this.#leader = member.id
  }

  setProtocols(member: Member, protocols: ReadonlyArray<Protocol>): void {
    this.bytes += memberBytes("", protocols) - memberBytes("", member.protocols)
    ;(member as { protocols: ReadonlyArray<Protocol> }).protocols = protocols
  }

  setAssignment(member: Member, assignment: Uint8Array): void {
    this.bytes += assignment.length - member.assignment.length
    ;(member as { assignment: Uint8Array }).assignment = assignment
  }

  /** Whether everybody but `except` knows one of the protocols. */
  supports(protocols: ReadonlyArray<Protocol>, except: Member | undefined): boolean {
    const shared = this.#sharedNames(except)
    return shared === undefined ? protocols.length > 0 : protocols.some(({ name }) => shared.has(name))
  }

  /** The protocol of the next generation: of those that all know the one that most like best. Undefined without members. */
  vote(): string | undefined {
    const shared = this.#sharedNames(undefined)
    const votes = new Map<string, number>()
    for (const { protocols } of this.#members.values()) {
      const liked = protocols.find(({ name }) => shared?.has(name))?.name
      if (liked !== undefined) votes.set(liked, (votes.get(liked) ?? 0) + 1)
    }
    let best: string | undefined
    for (const [name, count] of votes) if (best === undefined || count > (votes.get(best) ?? 0)) best = name
    return best
  }

  /** Names that all but `except` know; undefined where there is nobody else. */
  #sharedNames(except: Member | undefined): Set<string> | undefined {
    let shared: Set<string> | undefined
    for (const member of this.#members.values()) {
      if (member === except) continue
      const own = new Set(member.protocols.map(({ name }) => name))
      shared = shared === undefined ? own : shared.intersection(own)
    }
    return shared
  }
}

/** What a member says in a protocol. */
export function metadataOf(member: Member, protocolName: string | undefined): Uint8Array {
  return member.protocols.find(({ name }) => name === protocolName)?.metadata ?? NO_BYTES
}

/** Whether a member says the very same of itself as before. */
export function saysTheSame(member: Member, protocols: ReadonlyArray<Protocol>): boolean {
  return (
    member.protocols.length === protocols.length &&
    member.protocols.every(({ name, metadata }, index) => {
      const other = protocols[index]
      return other?.name === name && compareKeys(other.metadata, metadata) === 0
    })
  )
}
