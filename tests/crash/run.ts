/**
 * One run of the crash harness: cycles of start, look, load and kill -9 on one data directory, then a full drain.
 *
 * After each restart everything that was acknowledged must be there; at the end everything that was owed must have come.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"
import { BrokerProcess, type StartOptions } from "./BrokerProcess.ts"
import {
  type Cast,
  type CrashEngine,
  type CrashMode,
  drawCast,
  MADE_NAME,
  MADE_TOPIC,
  manifestOf,
  RETAINED_QOS
} from "./cast.ts"
import { KafkaProducer } from "./KafkaProducer.ts"
import { Ledger, type Message, type Violation } from "./Ledger.ts"
import { LogModel } from "./LogModel.ts"
import { lookAtPartitions, lookAtRetained, lookAtTopics } from "./looks.ts"
import { MqttActor } from "./MqttActor.ts"
import { type CyclePlan, planCycle, probesOf } from "./plan.ts"
import { RetainedModel } from "./RetainedModel.ts"
import { moveTopic, planMoves } from "./TopicMoves.ts"

/** Will delays that a drain waits for, seconds. */
const WILL_WAIT_MAX = 5
/** Nothing has come for so long: nothing comes any more, ms. */
const STALLED_MS = 5_000
const QUIET_MS = 400

const OUR_ENGINES: ReadonlyArray<CrashEngine> = ["sqlite", "segment"]

export interface RunOptions {
  readonly seed: number
  readonly cycles: number
  readonly shards: number
  readonly mode: CrashMode
  /** Absent = ours. */
  readonly engines?: ReadonlyArray<CrashEngine> | undefined
  /** Every so many cycles everybody comes and everything is drained, before the kill. */
  readonly drainEvery: number
  readonly lifeMsMin: number
  readonly lifeMsMax: number
  /** Whether the broker dies between cycles; else every client's connection is cut, which is the proof of the harness itself. */
  readonly kills: boolean
  /** Whether the run goes on behind the first broken promise. */
  readonly keepGoing: boolean
  readonly keep: boolean
  /** Another program as the broker, see {@link StartOptions}. */
  readonly command?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly progress?: (line: string) => void
}

export interface RunResult {
  readonly violations: ReadonlyArray<Violation>
  readonly counts: Ledger["counts"]
  readonly ledger: Ledger
  /** Kept where something failed, or on wish. */
  readonly directory: string
  readonly seconds: number
}

export async function run(options: RunOptions): Promise<RunResult> {
  const startedAtMs = performance.now()
  const directory = mkdtempSync(join(tmpdir(), "manifold-crash-"))
  const story = new Run(options, directory)
  await story.tell()
  const { ledger } = story
  const isKept = ledger.violations.length > 0 || options.keep
  if (isKept) writeFileSync(join(directory, "client-journal.txt"), `${ledger.lines.join("\n")}\n`)
  else rmSync(directory, { recursive: true, force: true })
  const seconds = (performance.now() - startedAtMs) / 1_000
  return { violations: ledger.violations, counts: ledger.counts, ledger, directory, seconds }
}

class Run {
  readonly ledger = new Ledger()
  readonly #options: RunOptions
  readonly #directory: string
  readonly #cast: Cast
  readonly #retained: RetainedModel
  readonly #log: LogModel
  readonly #actors: ReadonlyArray<MqttActor>
  readonly #producers: ReadonlyArray<KafkaProducer>
  readonly #start: StartOptions
  #broker: BrokerProcess | undefined
  #timers: Array<ReturnType<typeof setTimeout>> = []
  #plan: CyclePlan
  #isDraining = false

  constructor(options: RunOptions, directory: string) {
    const { seed, mode, shards, engines = OUR_ENGINES, command, env } = options
    const { ledger } = this
    ledger.isExact = engines.every((name) => OUR_ENGINES.includes(name))
    this.#options = options
    this.#directory = directory
    this.#cast = drawCast(seed, mode)
    this.#plan = planCycle(this.#cast, 1, options)
    this.#retained = new RetainedModel(ledger, [...RETAINED_QOS.keys()])
    this.#log = new LogModel(ledger, this.#cast)
    const taken = (message: Message, since: number): void => this.#taken(message, since)
    const mayPublish = (topic: string): boolean => topic !== MADE_NAME || this.#log.topics.has(MADE_TOPIC)
    const below = (bound: number): number => (this.#isDraining ? 0 : this.#plan.chance.below(bound))
    const around = { ledger, retained: this.#retained, taken, mayPublish, below }
    this.#actors = this.#cast.personas.map((persona) => new MqttActor(around, persona))
    const told = (message: Message, since: number): void => this.#tellSessions(message, since)
    this.#producers = Array.from(
      { length: this.#cast.producers },
      (_, index) => new KafkaProducer(ledger, this.#log, this.#cast, `producer-${index}`, told)
    )
    const config = join(directory, "manifold.toml")
    mkdirSync(directory, { recursive: true })
    writeFileSync(config, manifestOf(this.#cast, mode, shards, engines))
    this.#start = {
      data: join(directory, "data"),
      config,
      ...(command !== undefined && { command }),
      ...(env !== undefined && { env })
    }
  }

  async tell(): Promise<void> {
    const { cycles, drainEvery, keepGoing } = this.#options
    try {
      for (let cycle = 1; cycle <= cycles; cycle++) {
        const isDrain = cycle % drainEvery === 0 || cycle === cycles
        await this.#cycle(cycle, isDrain, cycle === cycles)
        if (this.ledger.violations.length > 0 && !keepGoing) break
      }
    } catch (error) {
      this.ledger.fail(error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error))
    } finally {
      for (const timer of this.#timers) clearTimeout(timer)
      const stderr = this.#broker?.stderr ?? ""
      if (this.ledger.violations.length > 0) writeFileSync(join(this.#directory, "broker-stderr.txt"), stderr)
      await this.#broker?.kill().catch(() => {})
      RawMqtt.cutAll()
      RawKafka.cutAll()
    }
  }

  async #cycle(cycle: number, isDrain: boolean, isLast: boolean): Promise<void> {
    const { ledger } = this
    ledger.cycle = cycle
    const plan = planCycle(this.#cast, cycle, this.#options)
    this.#plan = plan
    const broker = await this.#ready(plan)
    if (plan.looksFirst || isLast) await this.#look(broker, false)
    await this.#load(broker, plan)
    if (isDrain) await this.#drain(broker)
    if (!isLast) return await this.#die(plan)
    await Promise.all(this.#producers.map((producer) => producer.stop()))
    for (const actor of this.#actors) actor.leave()
    await sleep(50)
    this.#crashWords(broker)
    await broker.stop()
  }

  async #ready(plan: CyclePlan): Promise<BrokerProcess> {
    const { ledger } = this
    const { kills, progress } = this.#options
    if (this.#broker !== undefined && !kills) return this.#restarted(this.#broker)
    for (const afterMs of kills ? plan.earlyKillsMs : []) {
      const early = new BrokerProcess(this.#start)
      this.#broker = early
      await sleep(afterMs)
      ledger.note(`kill -9 ${afterMs} ms after the start`)
      ledger.counts.kills += 1
      await early.kill()
    }
    this.#broker = new BrokerProcess(this.#start)
    const broker = await this.#broker.ready()
    ledger.note(`the broker is ready after ${broker.startMs.toFixed(0)} ms`)
    progress?.(`cycle ${plan.number}: ready after ${broker.startMs.toFixed(0)} ms, ${ledger.messages.length} messages`)
    return this.#restarted(broker)
  }

  #restarted(broker: BrokerProcess): BrokerProcess {
    for (const actor of this.#actors) actor.restarted(broker.mqtt)
    return broker
  }

  async #look(broker: BrokerProcess, isFinal: boolean): Promise<void> {
    await lookAtRetained(broker.mqtt, this.#retained, this.ledger)
    if (!this.#cast.keepsTopics) return
    await lookAtPartitions(broker.kafka, this.#log, isFinal)
    await lookAtTopics(broker.http, this.#log)
  }

  async #load(broker: BrokerProcess, plan: CyclePlan): Promise<void> {
    const at = (ms: number, what: () => void): void => {
      this.#timers.push(setTimeout(what, ms))
    }
    this.#timers = []
    for (const actor of this.#actors) {
      for (const action of plan.actions.get(actor.persona.clientId) ?? []) at(action.atMs, () => actor.act(action))
    }
    const prober = this.#actors.find(({ persona }) => persona.clientId === "pub-0")
    for (const wanted of probesOf(this.#cast, plan.chance)) {
      at(plan.chance.below(plan.lifeMs), () => prober?.act({ atMs: 0, kind: "publish", wanted }))
    }
    for (const producer of this.#producers) producer.live(broker.kafka, plan)
    for (const move of planMoves(this.#cast, this.#options, plan.number, plan.lifeMs)) {
      at(move.atMs, () => void moveTopic(broker.http, move, this.ledger))
    }
    const end = performance.now() + plan.lifeMs
    while (performance.now() < end && (this.ledger.violations.length === 0 || this.#options.keepGoing)) {
      if (!broker.isAlive) throw new Error(`the broker died by itself:\n${broker.stderr}`)
      await sleep(Math.max(0, Math.min(20, end - performance.now())))
    }
    for (const timer of this.#timers) clearTimeout(timer)
  }

  async #die(plan: CyclePlan): Promise<void> {
    const { ledger } = this
    const broker = this.#broker
    if (broker === undefined) return
    if (!this.#options.kills) {
      await Promise.all(this.#producers.map((producer) => producer.stop()))
      for (const actor of this.#actors) actor.cut()
      await sleep(Math.min(plan.downMs, 100))
      for (let waits = 0; waits < 100 && !this.#actors.every(({ isIdle }) => isIdle); waits++) await sleep(10)
      for (const actor of this.#actors) actor.cut()
      return
    }
    ledger.note(`kill -9 after ${plan.lifeMs} ms`)
    ledger.counts.kills += 1
    // What the loop has read already is handled first: what it reads from now on may have come after the kill.
    await setImmediate()
    const { promise, resolve } = Promise.withResolvers<void>()
    const dying = this.#actors.map((actor) => actor.die(promise))
    const producing = this.#producers.map((producer) => producer.stop())
    this.#crashWords(broker)
    await broker.kill()
    resolve()
    await Promise.all([...dying, ...producing])
    RawMqtt.cutAll()
    RawKafka.cutAll()
    await sleep(plan.downMs)
  }

  /** Everybody comes; what was begun comes to its end, what is owed comes; then everything is looked at. */
  async #drain(broker: BrokerProcess): Promise<void> {
    const { ledger } = this
    ledger.note("drain")
    this.#isDraining = true
    await this.#drainAll(broker)
    this.#isDraining = false
  }

  async #drainAll(broker: BrokerProcess): Promise<void> {
    const { ledger } = this
    await Promise.all(this.#producers.map((producer) => producer.stop()))
    let quietSinceMs = performance.now()
    let stalledSinceMs = performance.now()
    let seen = -1
    const staysAway = (actor: MqttActor): boolean => (actor.wills.pendingDelay ?? WILL_WAIT_MAX + 1) <= WILL_WAIT_MAX
    while (ledger.violations.length === 0 || this.#options.keepGoing) {
      if (!broker.isAlive) throw new Error(`the broker died by itself:\n${broker.stderr}`)
      for (const actor of this.#actors) {
        actor.wills.settle()
        if (actor.isIdle && !staysAway(actor)) actor.connect({ clean: false, will: undefined })
      }
      await sleep(20)
      const { delivered, acknowledged } = ledger.counts
      const isDone = this.#actors.every((actor) => actor.isSettled)
      const now = performance.now()
      if (delivered + acknowledged !== seen || !isDone) quietSinceMs = now
      if (delivered + acknowledged !== seen || this.#actors.some(staysAway)) stalledSinceMs = now
      seen = delivered + acknowledged
      if (now - quietSinceMs > QUIET_MS) break
      if (now - stalledSinceMs < STALLED_MS) continue
      for (const actor of this.#actors) actor.session.checkSettled()
      ledger.fail(
        `the drain stands still: ${this.#actors.flatMap((actor) => (actor.isSettled ? [] : [actor.pending])).join("; ")}`
      )
      return
    }
    if (ledger.violations.length > 0 && !this.#options.keepGoing) return
    for (const actor of this.#actors) actor.session.checkSettled()
    await this.#look(broker, true)
  }

  #crashWords(broker: BrokerProcess): void {
    const found = /InvariantViolation|uncaught|unhandled|TypeError|RangeError|ReferenceError|Segmentation/i.exec(
      broker.stderr
    )
    this.ledger.check(found === null, () => `the broker's log says ${found?.[0]}:\n${broker.stderr.slice(-2_000)}`)
  }

  #taken(message: Message, since: number): void {
    this.#log.acknowledged(message)
    this.#tellSessions(message, since)
  }

  #tellSessions(message: Message, since: number): void {
    for (const { session } of this.#actors) session.taken(message, since)
  }
}
