/**
 * One bridge: connects, and connects again when it was cut off; its state, and what it counts.
 *
 * Invariants
 *  - There is one attempt at a time, and no time without a way to the next one but while it is paused.
 *  - What waits is this broker's session, which is there from the first moment on, whether the remote is or not.
 */
import { Effect, type Scope } from "effect"
import {
  type ClockShape,
  type HostedClient,
  InvariantViolation,
  type LogShape,
  type RandomShape
} from "../../core/mod.ts"
import { inBackground, sleep, untilServing } from "./background.ts"
import { backoffMs } from "./backoff.ts"
import { Counts } from "./Counts.ts"
import { type ConnectParts, connect } from "./connecting.ts"
import type { Link } from "./Link.ts"
import { LinkError } from "./LinkError.ts"
import { type Direction, Refusals } from "./Refusals.ts"
import type { BridgeSettings } from "./Settings.ts"
import { type SessionFacts, sessionFacts } from "./session-facts.ts"
import { shown } from "./wire/answers.ts"

export type State = "starting" | "connecting" | "connected" | "waiting" | "paused"

/** A connection that stood this long was a good one: the next attempt comes soon. */
const GOOD_MS = 5_000
/** Between two lines that tell of messages that were given up. */
const GAP_LINE_MS = 10_000
/** How often what waits is looked at for the metrics. */
const LOOK_MS = 10_000
/** It is left alone this many times as long as it took to look. */
const LOOK_PAUSE = 100
/** How often what waits for a bridge that is paused is held to its bounds. */
const PAUSED_LOOK_MS = 60_000
const AREA = "bridge"

export interface BridgeParts extends Omit<ConnectParts, "bridge"> {
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly log: LogShape
  readonly isServing: () => boolean
}

export class Bridge implements HostedClient {
  readonly settings: BridgeSettings
  readonly clientIdentifier: string
  readonly counts = new Counts()
  readonly refusals = new Refusals()
  state: State = "starting"
  /** When it came to that, ms since 1970. */
  sinceMs: number
  /** Why it is not connected, or was not the last time; "" = it always was. */
  lastError = ""
  lastErrorAtMs = 0
  /** What the remote has not granted. */
  warning = ""
  /** What waited when it was last looked at. */
  facts: SessionFacts | undefined
  /** Since this process began its session was made what the options ask for. */
  isPrepared = false
  /** A 3.1.1 broker that will not hear of bridges. */
  isPrivateRefused = false
  readonly #parts: BridgeParts
  #isPaused = false
  /** An administrator has ended the attempt: the next one is not held off for that. */
  #isStopped = false
  #link: Link | undefined
  /** Ends a wait. */
  #wake: (() => void) | undefined
  #failures = 0
  #toldError = ""
  #gapsUntold = 0
  #gapLineAtMs = -GAP_LINE_MS

  constructor(settings: BridgeSettings, clientIdentifier: string, parts: BridgeParts) {
    this.settings = settings
    this.clientIdentifier = clientIdentifier
    this.#parts = parts
    this.sinceMs = parts.clock.nowMs()
    this.#isPaused = !settings.enabled
  }

  // What holds for its session here.

  get messagesMax(): number {
    return this.settings.queue_messages_max
  }
  get bytesMax(): number {
    return this.settings.queue_bytes_max
  }
  get ageMaxSeconds(): number {
    return this.settings.queue_age_max
  }
  get overflow(): "oldest" | "newest" {
    return this.settings.queue_overflow
  }

  gaveUp(messages: number): void {
    this.counts.droppedOut += messages
    const number = messages === 0 ? "messages, nobody knows how many," : `${messages} messages`
    this.#gap("out", `${number} waited beyond the bounds`)
  }

  refused(): void {
    this.dropped("in", "this broker refused it, at QoS 0")
  }

  /** A message was given up on its way. */
  dropped(direction: Direction, why: string): void {
    if (direction === "in") this.counts.droppedIn += 1
    else this.counts.droppedOut += 1
    this.#gap(direction, `a message was given up: ${why}`)
  }

  /** The remote has come back without the session that it had. */
  remoteForgot(): void {
    if (this.settings.in.length > 0) this.#gap("in", "the remote had lost its session, and what waited in it")
  }

  #gap(direction: Direction, what: string): void {
    const { clock, log } = this.#parts
    this.counts.gaps += 1
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#gapLineAtMs < GAP_LINE_MS) {
      this.#gapsUntold += 1
      return
    }
    const more = this.#gapsUntold === 0 ? "" : `, and ${this.#gapsUntold} gaps since the last line`
    log.warn(AREA, `bridge ${this.settings.name}: a gap (${direction}): ${what}${more}`)
    this.#gapLineAtMs = nowMs
    this.#gapsUntold = 0
  }

  // What an administrator does.

  pause(): void {
    this.#isPaused = true
    this.#stop("it was paused")
  }

  resume(): void {
    this.#isPaused = false
    this.#failures = 0
    this.#wake?.()
  }

  reconnect(): void {
    this.#failures = 0
    this.#stop("it was told to connect again")
  }

  #stop(reason: string): void {
    if (this.#link === undefined) this.#wake?.()
    else {
      this.#isStopped = true
      this.#link.end(reason)
    }
  }

  /** Looks at what waits; where that cannot be told, what was seen the last time. */
  look(): Effect.Effect<SessionFacts | undefined> {
    return sessionFacts(this.#parts.resources, this.clientIdentifier).pipe(
      Effect.tap((facts) =>
        Effect.sync(() => {
          this.facts = facts
        })
      ),
      Effect.catch(() => Effect.succeed(this.facts))
    )
  }

  // Its life.

  /** Runs it for the life of the scope. */
  run(): Effect.Effect<void, never, Scope.Scope> {
    const bridge = this
    const { clock } = this.#parts
    const watching = Effect.gen(function* () {
      for (;;) {
        const beganMs = clock.monotonicMs()
        yield* bridge.look()
        // What is much takes long to count.
        yield* sleep(clock, Math.max(LOOK_MS, (clock.monotonicMs() - beganMs) * LOOK_PAUSE))
      }
    })
    return Effect.andThen(inBackground(this.#live(), clock), inBackground(watching, clock))
  }

  #live(): Effect.Effect<never> {
    const bridge = this
    return Effect.gen(function* () {
      yield* untilServing(bridge.#parts.clock, bridge.#parts.isServing)
      for (;;) {
        if (bridge.#isPaused) {
          bridge.#enter("paused")
          while (bridge.#isPaused) {
            // Messages are to wait from the beginning on, and within bounds.
            yield* bridge.#prepare()
            // It may have been resumed meanwhile, with nobody to wake.
            if (bridge.#isPaused) yield* bridge.#wait(PAUSED_LOOK_MS)
          }
        }
        const error = yield* bridge.#attempt()
        if (bridge.#isPaused || bridge.#isStopped) continue
        bridge.#failed(error.reason)
        const { backoff_min_ms, backoff_max_ms } = bridge.settings
        const waitMs = backoffMs(backoff_min_ms, backoff_max_ms, bridge.#failures, bridge.#parts.random)
        bridge.#failures += 1
        yield* bridge.#wait(waitMs)
      }
    })
  }

  /** Connects, and settles with the reason of its end. */
  #attempt(): Effect.Effect<LinkError> {
    this.counts.attempts += 1
    this.#isStopped = false
    if (this.state !== "waiting") this.#enter("connecting")
    return Effect.scoped(connect({ ...this.#parts, bridge: this })).pipe(
      Effect.catchDefect(unexpected),
      Effect.flip,
      Effect.ensuring(
        Effect.sync(() => {
          this.#link = undefined
        })
      )
    )
  }

  #prepare(): Effect.Effect<void> {
    return Effect.scoped(connect({ ...this.#parts, bridge: this }, true)).pipe(
      Effect.catchDefect(unexpected),
      Effect.flip,
      Effect.flatMap(({ reason }) =>
        Effect.sync(() => {
          if (reason !== "") this.#failed(reason, "paused")
        })
      )
    )
  }

  /** An attempt has a link: from now on it can be ended. */
  has(link: Link): void {
    this.#link = link
    // It was paused while there was nothing to end yet.
    if (this.#isPaused) link.end("it was paused")
  }

  /** Both sides are there and packets pass. */
  connected(): void {
    this.counts.connections += 1
    this.#toldError = ""
    this.#enter("connected")
    const { name, remote } = this.settings
    this.#parts.log.info(AREA, `bridge ${name}: connected to ${remote}`)
  }

  /** What the remote has not granted; "" = nothing. */
  warn(warning: string): void {
    const line = shown(warning)
    if (line !== "" && line !== this.warning) this.#parts.log.warn(AREA, `bridge ${this.settings.name}: ${line}`)
    this.warning = line
  }

  #failed(reason: string, state: State = "waiting"): void {
    const { clock, log } = this.#parts
    const { name, remote } = this.settings
    if (this.state === "connected" && clock.nowMs() - this.sinceMs >= GOOD_MS) this.#failures = 0
    this.lastError = shown(reason)
    this.lastErrorAtMs = clock.nowMs()
    this.#enter(state)
    // The same thing again and again is told once.
    if (this.lastError === this.#toldError) return
    this.#toldError = this.lastError
    log.warn(AREA, `bridge ${name}: not connected to ${remote}: ${this.lastError}`)
  }

  #enter(state: State): void {
    if (state === this.state) return
    this.state = state
    this.sinceMs = this.#parts.clock.nowMs()
  }

  /** Waits, until somebody wakes it. */
  #wait(ms: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const done = (): void => {
        timer.cancel()
        this.#wake = undefined
        resume(Effect.void)
      }
      const timer = this.#parts.clock.after(ms, done)
      this.#wake = done
      return Effect.sync(() => timer.cancel())
    })
  }
}

/** Whatever goes wrong costs an attempt, not the bridge; what must never be ends the process ({@link inBackground}). */
function unexpected(defect: unknown): Effect.Effect<never, LinkError> {
  if (defect instanceof InvariantViolation) return Effect.die(defect)
  return Effect.fail(new LinkError({ reason: defect instanceof Error ? defect.message : String(defect) }))
}
