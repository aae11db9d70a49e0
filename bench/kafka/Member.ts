/**
 * A member of a consumer group as a Java consumer of the classic protocol is one: asks for its id, joins, and goes on by what heartbeats say.
 * Its leader deals partitions out in turn; assignments are one byte for each partition.
 */
import { findCoordinator, heartbeat, joinGroup, syncGroup } from "../../plugins/protocol-kafka/wire/apis.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { sleep } from "./timing.ts"

const FIND_VERSION = 2
const JOIN_VERSION = 5
const SYNC_VERSION = 3
const HEARTBEAT_VERSION = 3
const MEMBER_ID_REQUIRED = 79
const REBALANCE_IN_PROGRESS = 27
/** Answers of a coordinator that is not ready yet, or of a generation that has gone on: a client asks again. */
const AGAIN: ReadonlySet<number> = new Set([14, 15, 16, REBALANCE_IN_PROGRESS])
const SESSION_MS = 45_000
const REBALANCE_MS = 300_000
const CONSUMER = "consumer"

export interface MemberFacts {
  readonly port: number
  readonly groupId: string
  readonly partitions: number
  readonly heartbeatMs: number
  /** It has the assignment of a generation. */
  readonly settled: (member: Member) => void
}

export class Member {
  readonly client: KafkaClient
  readonly groupId: string
  memberId = ""
  generation = -1
  assignment: ReadonlyArray<number> = []
  faults = 0
  readonly #facts: MemberFacts
  #isOver = false

  static async join(facts: MemberFacts): Promise<Member> {
    const member = new Member(await KafkaClient.open(facts.port), facts)
    member.client.failed = () => {
      member.faults += 1
      member.#isOver = true
    }
    void member.#live()
    return member
  }

  private constructor(client: KafkaClient, facts: MemberFacts) {
    this.client = client
    this.groupId = facts.groupId
    this.#facts = facts
  }

  stop(): void {
    this.#isOver = true
    this.client.close()
  }

  async #live(): Promise<void> {
    // Apache Kafka makes the topic of its offsets when the first coordinator is asked for.
    while (!this.#isOver) {
      const { errorCode } = await this.client.call(findCoordinator, FIND_VERSION, { key: this.groupId, keyType: 0 })
      if (errorCode === 0) break
      await sleep(100)
    }
    while (!this.#isOver) {
      if (!(await this.#joined())) continue
      this.#facts.settled(this)
      while (!this.#isOver) {
        await sleep(this.#facts.heartbeatMs)
        if (this.#isOver) return
        const { groupId, memberId, generation: generationId } = this
        const beat = { groupId, generationId, memberId, groupInstanceId: null }
        const { errorCode } = await this.client.call(heartbeat, HEARTBEAT_VERSION, beat)
        if (errorCode === REBALANCE_IN_PROGRESS) break
        if (errorCode !== 0) this.faults += 1
      }
    }
  }

  async #joined(): Promise<boolean> {
    const { groupId } = this
    const request = {
      groupId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      memberId: this.memberId,
      groupInstanceId: null,
      protocolType: CONSUMER,
      protocols: [{ name: "range", metadata: Uint8Array.of(0, 0, 0, 0, 0, 0, 255, 255, 255, 255) }]
    }
    const joined = await this.client.call(joinGroup, JOIN_VERSION, request)
    const { errorCode, memberId, generationId, leader, members } = joined
    if (errorCode === MEMBER_ID_REQUIRED) {
      this.memberId = memberId
      return false
    }
    if (errorCode !== 0) {
      if (!AGAIN.has(errorCode)) this.faults += 1
      await sleep(10)
      return false
    }
    this.memberId = memberId
    const ids = members.map((member) => member.memberId)
    const assignments = leader === memberId ? dealt(ids, this.#facts.partitions) : []
    const own = { groupId, generationId, memberId, groupInstanceId: null, assignments }
    const synced = await this.client.call(syncGroup, SYNC_VERSION, own)
    if (synced.errorCode !== 0) {
      if (!AGAIN.has(synced.errorCode)) this.faults += 1
      return false
    }
    this.generation = generationId
    this.assignment = [...synced.assignment]
    return true
  }
}

function dealt(ids: ReadonlyArray<string>, partitions: number): ReadonlyArray<Assigned> {
  return ids.map((memberId, at) => {
    const own: Array<number> = []
    for (let partition = at; partition < partitions; partition += ids.length) own.push(partition)
    return { memberId, assignment: Uint8Array.from(own) }
  })
}

interface Assigned {
  readonly memberId: string
  readonly assignment: Uint8Array
}
