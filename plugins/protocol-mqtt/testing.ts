/**
 * For tests: the MQTT brokers of a node of two shards, over stores that outlive it and journals that commit when they are told to, and
 * clients that follow the protocol. A crash throws everything in memory away, and what no journal has committed.
 *
 * Invariant: what one turn submitted is committed, lost or refused as a whole, as in a journal on disk.
 */
import assert from "node:assert/strict"
import { Effect } from "effect"
import * as v from "valibot"
import { allowAll } from "../../core/access/Access.ts"
import { StorageRoom } from "../../core/budget/StorageBudget.ts"
import { ShardHistory } from "../../core/ingress/History.ts"
import { Retained } from "../../core/ingress/Retained.ts"
import { RETAINED_LIMITS } from "../../core/ingress/retained-limits.ts"
import { ShardIngress } from "../../core/ingress/ShardIngress.ts"
import { Tokens } from "../../core/ingress/Tokens.ts"
import { type JournalEntry, type JournalShape, TicketStream } from "../../core/journal/Journal.ts"
import type { KeyValueWrite } from "../../core/kv/KeyValueStore.ts"
import { Mailboxes } from "../../core/link/Mailboxes.ts"
import { ShardLogs } from "../../core/log/ShardLogs.ts"
import type { Socket } from "../../core/platform/Net.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { TimerWheel } from "../../core/platform/TimerWheel.ts"
import type { TurnShape, TurnTask } from "../../core/platform/Turn.ts"
import { OrderedStore } from "../../core/queue/fakes.ts"
import { QUEUE_LOG_OPTIONS, QueueLog } from "../../core/queue/QueueLog.ts"
import { ShardQueueLogs } from "../../core/queue/ShardQueueLogs.ts"
import { Resolutions } from "../../core/router/Resolutions.ts"
import { ShardRouter } from "../../core/router/Router.ts"
import { makeHostedClients } from "../../core/shard/HostedClients.ts"
import type { ShardShape } from "../../core/shard/Shard.ts"
import { SLOT_CLIENT, SLOT_GROUP, slotOf } from "../../core/shard/slots.ts"
import { joinTopics } from "../../core/topics/fakes.ts"
import { type Decoded, decode, packetLength } from "../../tests/support/mqtt-decode.ts"
import type { Version } from "../../tests/support/mqtt-packets.ts"
import { Broker } from "./Broker.ts"
import { Connection } from "./Connection.ts"
import type { StoredTopics } from "./replay/fakes.ts"
import { options, type Settings } from "./Settings.ts"

const neverProduced = (): never => assert.fail("nobody produces batches here")

/** A journal whose entries are what a turn submitted, committed at once or when the test says so. */
export class StepJournal implements JournalShape, TurnTask {
  readonly tickets = new TicketStream()
  readonly syncedIndex = 0
  refusal = 0
  nextIndex = 1
  /** Whether entries are committed as they are written. */
  isAutomatic = true
  /** Entries that are written and not committed: their writes, and how many tickets. */
  readonly pending: Array<{ readonly writes: ReadonlyArray<KeyValueWrite>; readonly tickets: number }> = []
  readonly #store: OrderedStore
  readonly #turn: TurnShape
  #writes: Array<KeyValueWrite> = []
  #submitted = 0

  constructor(store: OrderedStore, turn: TurnShape) {
    this.#store = store
    this.#turn = turn
  }

  ticketsOf(): TicketStream {
    return this.tickets
  }

  submit(entry: JournalEntry): number {
    if (this.#submitted === 0) this.#turn.deferFlush(this)
    this.#submitted += 1
    this.#writes.push(...entry.writes)
    return this.tickets.issue()
  }

  submitOperation(): number {
    return this.submit({ writes: [] })
  }

  endTurn(): void {
    this.pending.push({ writes: this.#writes, tickets: this.#submitted })
    this.#writes = []
    this.#submitted = 0
    this.nextIndex += 1
    if (this.refusal !== 0) this.fail(this.refusal)
    else if (this.isAutomatic) this.commit()
  }

  /** Commits the first entries. */
  commit(count = this.pending.length): void {
    for (const { writes, tickets } of this.pending.splice(0, count)) {
      this.#store.apply(writes)
      this.tickets.commit(this.tickets.committed + tickets)
    }
  }

  /** Loses all that is not committed, as a write that failed does. */
  fail(outcome: number): void {
    let tickets = 0
    for (const entry of this.pending.splice(0)) tickets += entry.tickets
    if (tickets === 0) return
    const last = this.tickets.committed + tickets
    this.tickets.fail(this.tickets.committed + 1, last, outcome)
    this.tickets.commit(last)
  }

  register(): void {}
  released(): void {}
  whenSynced(): Promise<void> {
    return Promise.resolve()
  }
}

export interface TestShard {
  readonly broker: Broker
  readonly journal: StepJournal
  readonly room: StorageRoom
  readonly store: OrderedStore
  readonly queueLog: QueueLog
  readonly router: ShardRouter
  readonly tokens: Tokens
  readonly owns: (client: string) => boolean
}

/** One run of the node. */
interface Run {
  readonly simulation: Simulation
  readonly shards: ReadonlyArray<TestShard>
}

const SHARDS = 2

export class TestNode {
  readonly settings: Settings
  readonly stores = Array.from({ length: SHARDS }, () => new OrderedStore())
  /** Milliseconds that earlier runs and the time between have taken. */
  #elapsedMs = 0
  #run: Run | undefined
  #isServing = false
  /** The bounds of the queue logs; they may be changed while they run. */
  readonly queueLogOptions = { ...QUEUE_LOG_OPTIONS }
  readonly #stored: StoredTopics | undefined

  /** `stored` are its topics, where it has any. */
  constructor(settings: Partial<Settings> = {}, stored?: StoredTopics) {
    this.settings = { ...v.parse(options, {}), ...settings }
    this.#stored = stored
  }

  /** Starts the node over what its stores hold, and settles. */
  async start(): Promise<void> {
    const simulation = new Simulation(1)
    this.#isServing = false
    simulation.jumpWallClock(this.#elapsedMs)
    const { joined, shards: topicShards } = joinTopics(simulation, {
      shards: SHARDS,
      defaults: { autoCreate: false, autoCreateMqtt: "off" },
      ...this.#stored
    })
    const { clock } = simulation
    const logs: Array<QueueLog> = []
    const ingresses: Array<ShardIngress> = []
    const allRetained: Array<Retained> = []
    // As in a node, the broker of a shard is made when those of the shards before it have started.
    const makers = topicShards.map(({ topics }, index) => {
      const { port, turn } = joined.all[index] ?? assert.fail("a shard is joined")
      const store = this.stores[index] ?? assert.fail("a shard has a store")
      const journal = new StepJournal(store, turn)
      const room = new StorageRoom()
      const resolutions = new Resolutions(topics, 1)
      const router = new ShardRouter(port, 2, (name) => resolutions.invalidate(name))
      resolutions.join(router)
      const retained = new Retained(journal, store, 3, RETAINED_LIMITS)
      allRetained.push(retained)
      const tokens = new Tokens(journal, store)
      const queueLog = new QueueLog({
        number: index,
        journal,
        store,
        clock,
        turn,
        seed: 2,
        options: this.queueLogOptions
      })
      logs.push(queueLog)
      const queueLogs = new ShardQueueLogs(port, queueLog)
      const access = allowAll
      const ingress = new ShardIngress({
        port,
        router,
        resolutions,
        topics,
        retained,
        queueLog,
        tokens,
        journal,
        access,
        clock
      })
      ingresses.push(ingress)
      const owner = (client: string): number => slotOf(0, SLOT_CLIENT, client) % SHARDS
      const shard: ShardShape = {
        index,
        count: SHARDS,
        ownerOfClient: (_tenant, client) => owner(client),
        ownerOfGroup: (_tenant, group) => slotOf(0, SLOT_GROUP, group) % SHARDS,
        mailbox: (service, receive) => mailboxes.open(service, receive),
        acceptForwarded: () => {},
        forward: () => assert.fail("tests connect to the right shard")
      }
      const mailboxes = new Mailboxes(port, clock)
      const shardLogs = new ShardLogs(port, turn, topics, neverProduced, clock)
      const { random } = simulation
      const wheel = new TimerWheel(clock)
      return (): TestShard => {
        const broker = new Broker(this.settings, {
          ingress,
          router,
          access,
          shard,
          turn,
          clock,
          random,
          wheel,
          journal,
          room,
          store,
          queueLogs,
          history: new ShardHistory(shardLogs, topics.directory, clock),
          logs: shardLogs,
          topics,
          hosted: makeHostedClients(),
          isServing: () => this.#isServing
        })
        return { broker, journal, room, store, queueLog, router, tokens, owns: (client) => owner(client) === index }
      }
    })
    const shards: Array<TestShard> = []
    this.#run = { simulation, shards }
    await this.#toItsEnd(Promise.all(allRetained.map((retained) => retained.start())))
    await this.#toItsEnd(Promise.all(logs.map((log) => Effect.runPromise(log.open()))))
    for (const [index, make] of makers.entries()) {
      await this.#toItsEnd(ingresses[index]?.resume() ?? assert.fail("a shard has its ingress"))
      const made = make()
      shards.push(made)
      await this.#toItsEnd(made.broker.start())
    }
    this.#isServing = true
    await this.settle()
  }

  get run(): Run {
    return this.#run ?? assert.fail("the node runs")
  }

  get shards(): ReadonlyArray<TestShard> {
    return this.run.shards
  }

  /** The shard of a client. */
  of(client: string): TestShard {
    return this.shards.find(({ owns }) => owns(client)) ?? assert.fail("a client has a shard")
  }

  /** Carries out all that is due now. */
  async settle(): Promise<void> {
    await this.advance(0)
  }

  async advance(ms: number): Promise<void> {
    const { simulation } = this.run
    await simulation.runAsync(simulation.clock.monotonicMs() + ms)
  }

  /** Ends the run: what is not committed is lost. The next one starts `downMs` later. */
  crash(downMs = 0): void {
    const { simulation } = this.run
    this.#elapsedMs += simulation.clock.monotonicMs() + downMs
    this.#run = undefined
    this.#stored?.engine.crash()
  }

  /** Has all journals commit at once, or only when they are told to. */
  set automatic(isAutomatic: boolean) {
    for (const { journal } of this.shards) {
      journal.isAutomatic = isAutomatic
      if (isAutomatic) journal.commit()
    }
  }

  /** Has all journals lose what waits and refuse what comes; 0 = no more. */
  set refusal(refusal: number) {
    for (const { journal } of this.shards) {
      journal.refusal = refusal
      if (refusal !== 0) journal.fail(refusal)
    }
  }

  async #toItsEnd(running: Promise<unknown>): Promise<void> {
    let isOver = false
    const over = (): void => void (isOver = true)
    running.then(over, over)
    for (let round = 0; round < 1_000 && !isOver; round++) await this.settle()
    assert.ok(isOver, "the node starts")
    await running
  }
}

/** A connection as bytes: what the client sends goes straight to the broker, what it gets is kept as packets. */
export class Wire implements Socket {
  readonly peerAddress = "127.0.0.1"
  readonly received: Array<Decoded> = []
  isClosed = false
  /** Whether the socket takes no bytes. */
  isFull = false
  readonly connection: Connection
  readonly #version: Version
  #bytes = new Uint8Array(0)
  #waiting: Array<Uint8Array> | undefined

  constructor(shard: TestShard, version: Version) {
    this.#version = version
    this.connection = new Connection(shard.broker, this)
  }

  send(packet: Uint8Array): void {
    if (this.isClosed) return
    if (this.#waiting === undefined) this.connection.data(packet.slice())
    else this.#waiting.push(packet.slice())
  }

  /** Bytes that come all the same when the broker has ended the connection. */
  sendLate(packet: Uint8Array): void {
    this.connection.data(packet.slice())
  }

  /** The client is gone without a word. */
  cut(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.connection.closed()
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.isClosed) return -1
    if (this.isFull) return 0
    const joined = new Uint8Array(this.#bytes.length + end - start)
    joined.set(this.#bytes, 0)
    joined.set(bytes.subarray(start, end), this.#bytes.length)
    this.#bytes = joined
    for (let length = packetLength(this.#bytes); length !== undefined; length = packetLength(this.#bytes)) {
      this.received.push(decode(this.#bytes.subarray(0, length), this.#version))
      this.#bytes = this.#bytes.slice(length)
    }
    return end - start
  }

  pause(): void {
    this.#waiting ??= []
  }

  resume(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const packet of waiting ?? []) this.send(packet)
  }

  end(): void {
    this.isClosed = true
  }

  terminate(): void {
    this.isClosed = true
  }
}
