/**
 * The MQTT broker of one shard: its sessions and wills, and what all its connections share.
 *
 * Invariants
 *  - What durable sessions change during a turn is written at its end, in one entry, and before anything that depends on it is sent.
 */
import type {
  AccessShape,
  ClockShape,
  HistoryShape,
  HostedClientsShape,
  IngressShape,
  JournalShape,
  KeyValueStoreShape,
  KeyValueWrite,
  LogsShape,
  Principal,
  QueueLogsShape,
  RandomShape,
  RouterShape,
  ShardShape,
  StorageBudgetShape,
  TimerWheel,
  TopicsShape,
  TurnShape,
  TurnTask,
  WheelTask
} from "../../core/mod.ts"
import { Message, TicketFifo } from "../../core/mod.ts"
import { type AutoRule, autoRules } from "./auto-subscribe/auto-rule.ts"
import { Blacklist } from "./blacklist/Blacklist.ts"
import type { Flapping } from "./blacklist/Flapping.ts"
import { LiveBans } from "./blacklist/LiveBans.ts"
import type { Connection } from "./Connection.ts"
import { ConnectLimits } from "./ConnectLimits.ts"
import { Counts } from "./Counts.ts"
import type { DurableSession } from "./DurableSession.ts"
import { DelayedMessages } from "./delayed/DelayedMessages.ts"
import type { PendingPlace } from "./entering.ts"
import { ExclusiveFilters } from "./exclusive/ExclusiveFilters.ts"
import { HeldMessages } from "./HeldMessages.ts"
import { HeldUpClients } from "./HeldUpClients.ts"
import { type Listeners, listenersOf } from "./listeners.ts"
import { OutputBudget } from "./Output.ts"
import { PublishEncoder } from "./PublishEncoder.ts"
import { reasonStringOf } from "./reason-strings.ts"
import { USE_ANOTHER_SERVER } from "./reasons.ts"
import { TopicRefusals } from "./refusal/TopicRefusals.ts"
import { TopicRewrite } from "./rewrite/TopicRewrite.ts"
import { RuleSet } from "./rules/RuleSet.ts"
import type { ScramUsers } from "./ScramUsers.ts"
import type { Session } from "./Session.ts"
import { Sessions } from "./Sessions.ts"
import type { Settings } from "./Settings.ts"
import { SharedGroups } from "./shared/SharedGroups.ts"
import { SlowSubscribers } from "./slow/SlowSubscribers.ts"
import type { SystemTopics } from "./system/SystemTopics.ts"
import { TopicBounds } from "./TopicBounds.ts"
import { Wills } from "./Wills.ts"
import type { WillMessage } from "./wire/connect.ts"
import { type DisconnectOptions, disconnectSize } from "./wire/disconnect.ts"
import { headersResult, headersSizeMax, propertiesToHeaders } from "./wire/headers.ts"

/** The services of the shard, as plain objects. */
export interface Services {
  readonly ingress: IngressShape
  readonly router: RouterShape
  readonly access: AccessShape
  readonly shard: ShardShape
  readonly turn: TurnShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly wheel: TimerWheel
  readonly journal: JournalShape
  /** Whether there is room for more on disk. */
  readonly room: StorageBudgetShape
  readonly store: KeyValueStoreShape
  readonly queueLogs: QueueLogsShape
  readonly history: HistoryShape
  readonly logs: LogsShape
  readonly topics: Pick<TopicsShape, "findById">
  readonly hosted: HostedClientsShape
  /** Whether every shard has taken up what the last run left: no will is published and no session ends before. */
  readonly isServing: () => boolean
}

/** After a failure of the journal, when rows are written again, ms. */
const REWRITE_AFTER_MS = 1_000

/** A will that was kept at CONNECT, with its number. */
export interface KeptWill {
  readonly number: number
  readonly message: WillMessage
}

/** What has rows that may be lost. */
interface Rewritten {
  /** Writes them again in this turn. */
  rewrite(): void
}

export class Broker implements TurnTask, WheelTask {
  readonly settings: Settings
  readonly services: Services
  readonly counts = new Counts()
  readonly encoder = new PublishEncoder()
  readonly budget: OutputBudget
  readonly heldUp: HeldUpClients
  readonly held: HeldMessages
  readonly limits: ConnectLimits
  readonly listeners: Listeners
  readonly topicBounds: TopicBounds
  readonly sessions: Sessions
  readonly wills: Wills
  readonly shared: SharedGroups
  readonly exclusive: ExclusiveFilters
  readonly delayed: DelayedMessages
  readonly rewrite: TopicRewrite
  readonly refusals: TopicRefusals
  readonly blacklist: Blacklist
  /** What the broker tells of itself; undefined where it does not. */
  system: SystemTopics | undefined
  /** Undefined where nobody asks how long messages take. */
  readonly slow: SlowSubscribers | undefined
  /** Undefined where clients may connect as often as they like. */
  flapping: Flapping | undefined
  /** What every client is subscribed to when it connects. */
  readonly autoSubscriptions: RuleSet<AutoRule>
  /** Where to wait for what was published last: see {@link enter}. */
  pending: PendingPlace
  /** Undefined where the options name nobody. */
  scram: ScramUsers | undefined
  readonly connections = new Set<Connection>()
  /** The scratch message of all PUBLISH packets of this shard. */
  readonly message = new Message()
  headers = new Uint8Array(1_024)
  /** Wall clock of the chunk that is being read: one look per chunk, not per message. */
  nowMs = 0
  /** Monotonic ms of that chunk. */
  receivedMs = 0
  /** Sessions with rows to be written at the end of this turn. */
  #marked: Array<DurableSession> = []
  /** Sessions whose rows stand in the entry of a turn that is not committed yet, by the number of the turn. */
  readonly #turns = new Map<number, ReadonlyArray<DurableSession>>()
  #turnCount = 0
  readonly #turnCommits = new TicketFifo({
    released: (outcome, _kind, turn) => this.#turnEnded(outcome, turn),
    releasedAll: () => {}
  })
  readonly #rewrites = new Set<Rewritten>()
  readonly #calls = new Map<number, (outcome: number) => void>()
  #callCount = 0
  readonly #callCommits = new TicketFifo({
    released: (outcome, _kind, value) => {
      const call = this.#calls.get(value)
      this.#calls.delete(value)
      call?.(outcome)
    },
    releasedAll: () => {}
  })

  constructor(settings: Settings, services: Services) {
    this.settings = settings
    this.services = services
    this.budget = new OutputBudget(settings.output_bytes_total_max, services.turn)
    this.heldUp = new HeldUpClients(services.clock)
    this.limits = new ConnectLimits(settings)
    this.listeners = listenersOf(settings)
    this.topicBounds = new TopicBounds(settings)
    this.held = new HeldMessages(settings.session_bytes_total_max)
    this.sessions = new Sessions(this)
    this.wills = new Wills(this)
    this.shared = new SharedGroups(this)
    this.exclusive = new ExclusiveFilters(this)
    this.delayed = new DelayedMessages(this)
    this.rewrite = new TopicRewrite(settings.topic_rewrite)
    this.autoSubscriptions = new RuleSet(autoRules, settings.auto_subscribe)
    this.refusals = new TopicRefusals(settings.topic_refusal)
    this.blacklist = new Blacklist(settings.blacklist)
    this.slow = settings.slow_subscribe
      ? new SlowSubscribers(
          {
            thresholdMs: settings.slow_subscribe_threshold,
            top: settings.slow_subscribe_top,
            keptMs: settings.slow_subscribe_expiry * 1_000
          },
          services.clock
        )
      : undefined
    const liveBans = new LiveBans(this)
    this.blacklist.onAdded = (rules) => liveBans.look(rules)
    this.pending = services.ingress
    services.queueLogs.onLost((log, from, end) => {
      for (const session of this.sessions.durable()) session.flights.lost(log, from, end)
      this.shared.lost()
    })
  }

  /** What a DISCONNECT says beside its Reason Code; undefined where it would be larger than the client takes [MQTT-3.14.2-3]. */
  disconnectOptions(reasonCode: number, packetSizeMax: number): DisconnectOptions | undefined {
    const reasonString = reasonStringOf(reasonCode)
    const options = {
      ...(reasonString !== undefined && { reasonString }),
      ...(reasonCode === USE_ANOTHER_SERVER && { serverReference: this.settings.server_reference })
    }
    return disconnectSize(reasonCode, options) <= packetSizeMax ? options : undefined
  }

  /** Takes up what the last run left; before anything is listened to. */
  async start(): Promise<void> {
    await this.sessions.start()
    await this.shared.start()
    await this.wills.start()
    await this.delayed.start()
  }

  /** An identifier for a client that has none, owned by this shard, so that its connection need not be passed on. */
  assignClientIdentifier(tenant: number): string {
    const { random, shard } = this.services
    const bytes = new Uint8Array(12)
    for (;;) {
      random.fill(bytes, 0, bytes.length)
      const identifier = `auto-${bytes.toHex()}`
      if (!this.sessions.isResident(tenant, identifier) && shard.ownerOfClient(tenant, identifier) === shard.index) {
        return identifier
      }
    }
  }

  /** A connection is gone: its session ends or waits; its will, where one is due, is published or waits. */
  closeSession(session: Session, will: KeptWill | undefined, principal: Principal): void {
    // First of all, so that nothing that the will causes is sent to a connection that has ended.
    session.connection = undefined
    session.leaveShared(!(session.isDurable && session.expiryInterval > 0))
    const waits =
      will !== undefined && this.wills.connectionEnded(will.number, will.message, principal, session.expiryInterval)
    this.sessions.setWill(session, waits ? will.number : 0)
    this.sessions.close(session)
  }

  /** Has a session's rows written at the end of this turn. */
  writeAtEndOfTurn(session: DurableSession): void {
    if (this.#marked.length === 0) this.services.turn.deferWork(this)
    this.#marked.push(session)
  }

  endTurn(): void {
    this.rewriteLost()
    const marked = this.#marked
    this.#marked = []
    const writes: Array<KeyValueWrite> = []
    for (const session of marked) session.collect(writes)
    const { journal } = this.services
    const ticket = writes.length === 0 ? journal.tickets.issued : journal.submit({ writes })
    for (const session of marked) session.submitted(ticket)
    this.#turnCount += 1
    this.#turns.set(this.#turnCount, marked)
    this.#turnCommits.push(journal.tickets, ticket, 0, this.#turnCount)
  }

  /** What sessions wrote in a turn is committed, or lost: then they are written again when the journal takes some. */
  #turnEnded(outcome: number, turn: number): void {
    const sessions = this.#turns.get(turn) ?? []
    this.#turns.delete(turn)
    for (const session of sessions) {
      if (outcome < 0) {
        session.rowsLost()
        this.rewriteLater(session)
      } else {
        session.rowsCommitted()
        if (session.connection === undefined) this.sessions.leave(session)
      }
    }
  }

  /** Rows were lost: all that were are written again in one entry, in a while or as soon as anything is written that goes with them. */
  rewriteLater(what: Rewritten): void {
    if (this.#rewrites.size === 0) {
      const { wheel, clock } = this.services
      wheel.set(this, clock.monotonicMs() + REWRITE_AFTER_MS)
    }
    this.#rewrites.add(what)
  }

  timeout(nowMs: number): number {
    if (this.services.journal.refusal !== 0) return nowMs + REWRITE_AFTER_MS
    this.rewriteLost()
    return 0
  }

  /** Has all rows that were lost written again in this turn, where the journal takes any: what holds together stands in one entry. */
  rewriteLost(): void {
    if (this.#rewrites.size === 0 || this.services.journal.refusal !== 0) return
    const lost = [...this.#rewrites]
    this.#rewrites.clear()
    for (const each of lost) each.rewrite()
  }

  /** Whether a message is too old to be sent; one that is is counted. `nowMs` is the wall clock where the caller has looked at it. */
  dropsExpired({ expiresAtMs }: Message, nowMs?: number): boolean {
    if (expiresAtMs === 0 || expiresAtMs > (nowMs ?? this.services.clock.nowMs())) return false
    this.counts.droppedExpired += 1
    return true
  }

  /** Calls `call` when all that has been submitted until now is committed, with the outcome of the last of it. */
  whenCommitted(call: (outcome: number) => void): void {
    this.#callCount += 1
    this.#calls.set(this.#callCount, call)
    const { tickets } = this.services.journal
    this.#callCommits.push(tickets, tickets.issued, 0, this.#callCount)
  }

  /** Sets a message's headers from PUBLISH property bytes; they lie in a scratch buffer until the next call. */
  setHeaders(message: Message, properties: Uint8Array, start: number, end: number): void {
    message.headersStart = 0
    if (start === end) {
      message.headersEnd = 0
      message.headerCount = 0
      return
    }
    const room = headersSizeMax(end - start)
    if (this.headers.length < room) this.headers = new Uint8Array(room * 2)
    message.headers = this.headers
    message.headersEnd = propertiesToHeaders(properties, start, end, this.headers, 0)
    message.headerCount = headersResult.headerCount
  }
}
