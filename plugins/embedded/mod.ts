/** The face of the program that runs the broker inside itself: in-process publish, subscribe and read, without a socket. */
import { Effect, Layer } from "effect"
import * as v from "valibot"
import {
  Access,
  type AccessShape,
  Clock,
  type ClockShape,
  CONTRACT_VERSION,
  Ingress,
  Logs,
  type Principal,
  type ProtocolPlugin,
  Router,
  Telemetry,
  Topics,
  Turn
} from "../../core/mod.ts"
import { Counts, registerMetrics } from "./Counts.ts"
import { Dispatcher } from "./Dispatcher.ts"
import { Face } from "./Face.ts"

export { Content, type Header } from "./Content.ts"
export { PAYLOAD_BYTES_MAX, PublishError, ReadError, SubscriptionError } from "./errors.ts"
export type { Face, TopicDescription } from "./Face.ts"
export type { HandlerOptions, HandlerSubscription, MessageHandler } from "./HandlerSubscription.ts"
export type { SubscribeOptions } from "./Inbox.ts"
export type { MessageStream } from "./MessageStream.ts"
export type { Publisher } from "./Publisher.ts"
export type { MessageProperties, UserProperties } from "./properties.ts"
export type { ReceivedMessage } from "./ReceivedMessage.ts"
export type { ReadOptions, ReadStep } from "./RecordReader.ts"
export type { PublishOptions } from "./SinglePublishes.ts"
export type { StoredRecord } from "./StoredRecord.ts"

/** How long a graceful stop waits for acknowledgements of what the program published. */
const STOP_GRACE_MS = 5_000

/** The program itself: nobody logs in. */
const PROGRAM: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }

const options = v.strictObject({
  /** Gets the face when it stands. */
  opened: v.custom<(face: Face) => void>((value) => typeof value === "function", "expected a function")
})

export const plugin = {
  name: "embedded",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  // The program runs in the thread of the first shard; the others are reached as from any subscriber.
  runs: "node",
  options,
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const { opened } = given as v.InferOutput<typeof options>
        const access: AccessShape = yield* Access
        const clock = yield* Clock
        const turn = yield* Turn
        const counts = new Counts()
        const face = new Face({
          access,
          clock,
          turn,
          counts,
          ingress: yield* Ingress,
          logs: yield* Logs,
          router: yield* Router,
          topics: yield* Topics,
          principal: PROGRAM,
          dispatcher: new Dispatcher(turn, clock)
        })
        yield* registerMetrics(yield* Telemetry, counts)
        yield* Effect.addFinalizer(() => stop(face, clock))
        opened(face)
      })
    )
} satisfies ProtocolPlugin

/** Takes no more, waits for what is on its way, then ends everything. */
function stop(face: Face, clock: ClockShape): Effect.Effect<void> {
  const settled = Effect.callback<void>((resume) => {
    const timer = clock.after(STOP_GRACE_MS, () => resume(Effect.void))
    face.stopTaking(() => {
      timer.cancel()
      resume(Effect.void)
    })
  })
  return settled.pipe(Effect.andThen(Effect.sync(() => face.end())))
}
