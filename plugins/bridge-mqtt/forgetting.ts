/** Bridges that are not in the options any more: their sessions here end, so that nothing waits for them for ever. */
import { Effect } from "effect"
import type { ClockShape, HostedClientsShape, ShardShape } from "../../core/mod.ts"
import type { Agreements } from "./Agreement.ts"
import { Link } from "./Link.ts"
import { PACKET_SIZE_MAX } from "./wire/answers.ts"

const ANSWER_MS = 10_000

export interface ForgetParts {
  readonly agreements: Agreements
  readonly hosted: HostedClientsShape
  readonly clock: ClockShape
  readonly shard: ShardShape
}

/** Ends the session of the client and takes the bridge's row away. What fails is tried again by the next start. */
export function forget(name: string, clientIdentifier: string, parts: ForgetParts): Effect.Effect<void> {
  const { agreements, hosted, clock, shard } = parts
  const client = {
    clientIdentifier,
    messagesMax: Number.MAX_SAFE_INTEGER,
    bytesMax: Number.MAX_SAFE_INTEGER,
    ageMaxSeconds: 0,
    overflow: "oldest" as const,
    gaveUp: () => {},
    refused: () => {}
  }
  return Effect.scoped(
    Effect.gen(function* () {
      yield* hosted.register(client)
      const link = yield* Effect.acquireRelease(
        Effect.sync(
          () => new Link({ clock, shard, remoteVersion: 5, packetSizeMax: PACKET_SIZE_MAX, answerMs: ANSWER_MS })
        ),
        (link) => Effect.sync(() => link.end("it was stopped"))
      )
      const connack = yield* link.connectLocal(
        { clientIdentifier, cleanStart: true, sessionExpiryInterval: 0, receiveMaximum: 1 },
        true
      )
      if (connack.reasonCode === 0) yield* Effect.promise(() => agreements.write(name, undefined))
    })
  ).pipe(Effect.catch(() => Effect.void))
}
