/** The users that the options name for SCRAM-SHA-256: one credential each, no password. */
import { Effect } from "effect"
import {
  type MetaStoreError,
  type MetaStoreShape,
  parseScramCredential,
  prepareScramText,
  type RandomShape,
  type ScramCredential,
  ScramServer,
  scramNonce
} from "../../core/mod.ts"

/** In the meta store: what is told of unknown users is made of it, on every shard and after a restart alike. */
const SECRET_KEY = "protocol-mqtt/scram-secret"
const SECRET_BYTES = 32

/** Splits `user:SCRAM-SHA-256$...` of the options; undefined where it is not that. A user's name may hold colons. */
export function parseScramUser(text: string): readonly [user: string, credential: ScramCredential] | undefined {
  const at = text.indexOf(":SCRAM-SHA-256$")
  const user = prepareScramText(text.slice(0, Math.max(0, at)))
  const credential = parseScramCredential(text.slice(at + 1))
  return user === undefined || credential === undefined ? undefined : [user, credential]
}

/** Whether each user stands there once. */
export function areDistinct(users: ReadonlyArray<string>): boolean {
  return new Set(users.map((text) => parseScramUser(text)?.[0] ?? text)).size === users.length
}

/** The secret of this node or cluster, made where there is none. It comes from nothing that somebody could guess. */
export function scramSecret(meta: MetaStoreShape, random: RandomShape): Effect.Effect<Uint8Array, MetaStoreError> {
  return Effect.gen(function* () {
    const known = yield* meta.get(SECRET_KEY)
    if (known !== undefined) return known.value
    const made = new Uint8Array(SECRET_BYTES)
    random.fill(made, 0, made.length)
    const compare = [{ key: SECRET_KEY, version: 0 }]
    const { committed } = yield* meta.transact({ compare, writes: [{ key: SECRET_KEY, value: made }] })
    // Another shard was faster.
    return committed ? made : ((yield* meta.get(SECRET_KEY))?.value ?? made)
  })
}

export class ScramUsers {
  readonly #credentials: ReadonlyMap<string, ScramCredential>
  readonly #shapes: ReadonlyArray<{ readonly iterations: number; readonly saltBytes: number }>
  readonly #secret: Uint8Array
  readonly #random: RandomShape

  /** `users` as {@link parseScramUser} takes them, at least one; `secret` of {@link scramSecret}. */
  constructor(users: ReadonlyArray<string>, secret: Uint8Array, random: RandomShape) {
    const parsed = users.map(parseScramUser)
    this.#credentials = new Map(parsed.filter((pair) => pair !== undefined))
    this.#shapes = [...this.#credentials.values()].map(({ iterations, salt }) => ({
      iterations,
      saltBytes: salt.length
    }))
    this.#secret = secret
    this.#random = random
  }

  /** Whether a name is one of them: nobody gets it without proof. */
  has(user: string): boolean {
    return this.#credentials.has(prepareScramText(user) ?? "")
  }

  /** One exchange with a client. */
  exchange(): ScramServer {
    return new ScramServer({
      credentialOf: (user) => this.#credentials.get(user),
      secret: this.#secret,
      shapes: this.#shapes,
      nonce: () => scramNonce(this.#random)
    })
  }
}
