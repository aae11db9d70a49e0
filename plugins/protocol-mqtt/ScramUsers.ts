/** The users that the options name for SCRAM-SHA-256: one credential each, no password. */
import { createHash } from "node:crypto"
import {
  parseScramCredential,
  type RandomShape,
  SCRAM_ITERATIONS_MIN,
  type ScramCredential,
  ScramServer,
  scramNonce
} from "../../core/mod.ts"

/** Splits `user:SCRAM-SHA-256$...` of the options; undefined where it is not that. A user's name may hold colons. */
export function parseScramUser(text: string): readonly [user: string, credential: ScramCredential] | undefined {
  const at = text.indexOf(":SCRAM-SHA-256$")
  const credential = at <= 0 ? undefined : parseScramCredential(text.slice(at + 1))
  return credential === undefined ? undefined : [text.slice(0, at).normalize("NFKC"), credential]
}

export class ScramUsers {
  readonly #credentials: ReadonlyMap<string, ScramCredential>
  readonly #secret: Uint8Array
  readonly #iterations: number
  readonly #random: RandomShape

  /** `users` as {@link parseScramUser} takes them, at least one. */
  constructor(users: ReadonlyArray<string>, random: RandomShape) {
    const parsed = users.map(parseScramUser)
    this.#credentials = new Map(parsed.filter((pair) => pair !== undefined))
    this.#iterations = Math.max(SCRAM_ITERATIONS_MIN, ...[...this.#credentials.values()].map((each) => each.iterations))
    // Known to nobody who does not know the credentials, and the same after a restart.
    this.#secret = new Uint8Array(createHash("sha256").update(users.join("\n")).digest())
    this.#random = random
  }

  /** One exchange with a client. */
  exchange(): ScramServer {
    return new ScramServer({
      credentialOf: (user) => this.#credentials.get(user),
      secret: this.#secret,
      iterations: this.#iterations,
      nonce: () => scramNonce(this.#random)
    })
  }
}
