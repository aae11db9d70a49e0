/** A client of the simulated world: joins, divides the work where it leads, reads, commits; pauses, dies and comes back. */
import { ErrorCode } from "../../wire/error-codes.ts"
import { heartbeatOf, joinOf, leaveOf, syncOf } from "../member-requests.ts"
import { commitOf, fetchOf } from "../offset-requests.ts"
import { GROUP, PARTITIONS, REBALANCE_MS, SESSION_MS, TOPIC_ID, Violation, type World } from "./testing.ts"

const HEARTBEAT_MS = 1_000
/** How long it waits for an answer before it asks again. */
const PATIENCE_MS = { join: 60_000, sync: 30_000, other: 3_000 }

interface JoinedAs {
  readonly generation: number
  readonly leader: string
  readonly members: ReadonlyArray<string>
}

/** As whom it speaks. */
interface Guise {
  readonly memberId: string
  readonly generation: number
  readonly partitions: ReadonlyArray<number>
}

export class SimulatedClient {
  readonly name: string
  readonly #instance: string | null
  readonly #world: World
  #memberId = ""
  generation = -1
  partitions: ReadonlyArray<number> = []
  /** Where it reads on, by partition. */
  readonly #next = new Map<number, number>()
  /** Raised by whatever makes answers of before meaningless: a death, a new question. */
  #era = 0
  #pausedUntilMs = 0
  #isDead = false
  /** Its process began so often: what it says of itself changes with that now and then. */
  #lives = 0

  constructor(world: World, name: string, instance: string | null) {
    this.#world = world
    this.name = name
    this.#instance = instance
  }

  get #caller() {
    return { tenant: 0, version: 9, clientId: this.name, clientHost: "/sim", retentionMs: -1 }
  }

  get #guise(): Guise {
    return { memberId: this.#memberId, generation: this.generation, partitions: this.partitions }
  }

  begin(): void {
    this.#join()
    this.#beat(this.#lives)
  }

  /** Maybe something happens to it. */
  fault(): void {
    const { chance, time } = this.#world
    if (this.#isDead) return
    if (chance.oneIn(80)) this.#pausedUntilMs = time.now + chance.nat(45_000)
    else if (chance.oneIn(160)) this.#die(chance.nat(40_000))
    else if (chance.oneIn(200)) this.#leave()
  }

  /** Faults are over. */
  revive(): void {
    this.#pausedUntilMs = 0
    if (this.#isDead) this.#die(0)
  }

  #die(forMs: number): void {
    this.#haunt()
    this.#isDead = true
    this.#era += 1
    this.#lives += 1
    this.#memberId = ""
    this.generation = -1
    this.partitions = []
    const life = this.#lives
    this.#world.time.after(forMs, () => {
      if (life !== this.#lives || !this.#isDead) return
      this.#isDead = false
      this.begin()
    })
  }

  /** What its process has sent, or still sends, comes after it is thought to be dead. */
  #haunt(): void {
    const ghost = { memberId: this.#memberId, generation: this.generation, partitions: this.partitions }
    if (ghost.memberId === "" || ghost.generation < 0) return
    for (let count = 0; count < 4; count++) {
      this.#world.time.after(this.#world.chance.nat(40_000), () => {
        this.#heartbeat(ghost)
        if (ghost.partitions.length > 0) this.#commit(ghost)
      })
    }
  }

  #leave(): void {
    const members = [{ memberId: this.#memberId, groupInstanceId: this.#instance, reason: null }]
    const request = { groupId: GROUP, memberId: "", members }
    this.#world.carry(`leave of ${this.name}`, (coordinator, answer) => {
      leaveOf(coordinator, this.#caller, request, () => answer(() => {}))
    })
    this.#die(this.#world.chance.nat(10_000))
  }

  /** Asks, takes the answer where it is still the one that is waited for, and asks again where none comes. */
  #ask(patienceMs: number, again: () => void, carry: (deliver: (take: () => void) => () => void) => void): void {
    this.#era += 1
    const era = this.#era
    const { time } = this.#world
    const isCurrent = (): boolean => era === this.#era && !this.#isDead
    const whenAwake = (task: () => void): void => {
      const waitMs = this.#pausedUntilMs - time.now
      if (waitMs > 0) time.after(waitMs, () => whenAwake(task))
      else if (isCurrent()) task()
    }
    time.after(patienceMs, () => whenAwake(again))
    carry((take) => () => whenAwake(take))
  }

  #join(): void {
    this.partitions = []
    this.generation = -1
    const world = this.#world
    const names = this.#lives % 3 === 1 ? ["b", "a"] : ["a", "b"]
    const request = {
      groupId: GROUP,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      memberId: this.#memberId,
      groupInstanceId: this.#instance,
      protocolType: "simulated",
      protocols: names.map((name) => ({ name, metadata: Uint8Array.of(this.#lives % 5) })),
      reason: null
    }
    this.#ask(
      PATIENCE_MS.join,
      () => this.#join(),
      (deliver) => {
        world.carry(`join of ${this.name}`, (coordinator, answer) => {
          joinOf(coordinator, this.#caller, request, (joined) => {
            const { errorCode, memberId, leader, members } = joined
            if (errorCode === ErrorCode.NONE && this.#instance !== null) world.admitted(this.#instance, memberId)
            const as = { generation: joined.generationId ?? -1, leader, members: members.map((each) => each.memberId) }
            answer(deliver(() => this.#joined(errorCode, memberId, as)))
          })
        })
      }
    )
  }

  #joined(errorCode: number, memberId: string, as: JoinedAs): void {
    this.#world.tally.joins += 1
    if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#memberId = memberId
    if (errorCode === ErrorCode.NONE) {
      this.generation = as.generation
      this.#sync(as)
    } else if (errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#join()
    else this.#lost(errorCode)
  }

  #sync(as: JoinedAs): void {
    const world = this.#world
    const memberId = this.#memberId
    const sorted = as.members.toSorted()
    const isLeader = as.leader === memberId
    const assignments = sorted.map((each, index) => {
      const own = Array.from({ length: PARTITIONS }, (_, partition) => partition).filter(
        (at) => at % sorted.length === index
      )
      return { memberId: each, assignment: Uint8Array.from(own) }
    })
    const generationId = as.generation
    const request = {
      groupId: GROUP,
      generationId,
      memberId,
      groupInstanceId: this.#instance,
      protocolType: "simulated",
      protocolName: null,
      assignments: isLeader ? assignments : []
    }
    this.#ask(
      PATIENCE_MS.sync,
      () => this.#join(),
      (deliver) => {
        world.carry(`sync of ${this.name}`, (coordinator, answer) => {
          syncOf(coordinator, this.#caller, request, ({ errorCode, assignment }) => {
            const partitions = [...assignment]
            if (errorCode === ErrorCode.NONE) {
              world.served("a sync", this.#instance, memberId)
              world.told(generationId, memberId, this.#instance, partitions)
            }
            answer(deliver(() => this.#synced(errorCode, partitions)))
          })
        })
      }
    )
  }

  #synced(errorCode: number, partitions: ReadonlyArray<number>): void {
    if (errorCode !== ErrorCode.NONE) {
      this.#lost(errorCode)
      return
    }
    this.partitions = partitions
    const request = {
      groupId: "",
      topics: null,
      groups: [
        {
          groupId: GROUP,
          memberId: null,
          memberEpoch: -1,
          topics: [{ name: "", topicId: TOPIC_ID, partitionIndexes: partitions }]
        }
      ],
      requireStable: true
    }
    this.#ask(
      PATIENCE_MS.other,
      () => this.#synced(errorCode, partitions),
      (deliver) => {
        this.#world.carry(`fetch of ${this.name}`, (coordinator, answer) => {
          fetchOf(coordinator, this.#caller, request, ({ groups }) => {
            const found = groups?.[0]?.topics?.[0]?.partitions ?? []
            answer(
              deliver(() => {
                for (const each of found) this.#next.set(each.partitionIndex ?? -1, each.committedOffset ?? -1)
              })
            )
          })
        })
      }
    )
  }

  /** Heartbeats and commits for as long as this life lasts, also as what it is no longer. */
  #beat(life: number): void {
    const { time } = this.#world
    const waitMs = this.#pausedUntilMs - time.now
    if (life !== this.#lives || this.#isDead) return
    time.after(Math.max(HEARTBEAT_MS, waitMs), () => this.#beat(life))
    if (waitMs > 0 || this.generation < 0 || this.partitions.length === 0) {
      if (waitMs <= 0 && this.generation >= 0) this.#heartbeat()
      return
    }
    this.#heartbeat()
    this.#commit()
  }

  #heartbeat({ memberId, generation }: Guise = this.#guise): void {
    const { name } = this
    const era = this.#era
    const request = { groupId: GROUP, generationId: generation, memberId, groupInstanceId: this.#instance }
    this.#world.carry(`heartbeat of ${name}`, (coordinator, answer) => {
      heartbeatOf(coordinator, this.#caller, request, ({ errorCode }) => {
        if (errorCode === ErrorCode.FENCED_INSTANCE_ID) this.#world.tally.fenced += 1
        if (errorCode === ErrorCode.NONE) this.#world.served("a heartbeat", this.#instance, memberId)
        answer(() => {
          const isCurrent = era === this.#era && memberId === this.#memberId && generation === this.generation
          if (
            errorCode !== ErrorCode.NONE &&
            isCurrent &&
            !this.#isDead &&
            this.#world.time.now >= this.#pausedUntilMs
          ) {
            this.#lost(errorCode)
          }
        })
      })
    })
  }

  #commit({ memberId, generation, partitions }: Guise = this.#guise): void {
    const { chance } = this.#world
    const partition = partitions[chance.nat(partitions.length)] ?? 0
    const offset = (this.#next.get(partition) ?? -1) + 1 + chance.nat(5)
    this.#next.set(partition, offset)
    const committed = {
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: -1,
      committedMetadata: ""
    }
    const request = {
      groupId: GROUP,
      generationIdOrMemberEpoch: generation,
      memberId,
      groupInstanceId: this.#instance,
      retentionTimeMs: -1,
      topics: [{ name: "", topicId: TOPIC_ID, partitions: [committed] }]
    }
    const world = this.#world
    world.carry(`commit of ${this.name}`, (coordinator, answer) => {
      let isWithin = true
      world.submitted(partition, offset)
      // As things are when it is judged: it is answered when it is kept.
      const current = world.currentOf(this.#instance, memberId)
      const newest = world.newestGiven
      commitOf(coordinator, this.#caller, request, ({ topics }) => {
        const errorCode = topics[0]?.partitions[0]?.errorCode ?? -1
        if (errorCode === ErrorCode.NONE) {
          if (current !== memberId) throw new Violation(`a commit of ${memberId} was taken, it is ${current}`)
          if (generation < newest) throw new Violation(`a commit of ${generation} was taken, ${newest} was given out`)
          world.acknowledged(partition, offset)
        } else {
          world.tally.refusedCommits += 1
          if (isWithin) world.withdrawn(partition)
        }
        answer(() => {})
      })
      isWithin = false
    })
  }

  /** It is not what it was any more. */
  #lost(errorCode: number): void {
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID || errorCode === ErrorCode.FENCED_INSTANCE_ID) this.#memberId = ""
    this.#era += 1
    this.partitions = []
    this.generation = -1
    const era = this.#era
    this.#world.time.after(100, () => {
      if (era === this.#era && !this.#isDead) this.#join()
    })
  }
}
