/**
 * Tokens that other shards held of this one's messages when the last run ended. Its clients send again what they were not told of, and by then
 * the message's name may be another shard's, which knows nothing of the token: so it is looked for here first.
 *
 * Invariants
 *  - Read before anything is published: afterwards whoever hands a message over keeps a row of that before its name can move.
 *  - A token is forgotten when all shards have given it back.
 */
import type { LinkPort } from "../link/LinkPort.ts"
import type { Tokens } from "./Tokens.ts"

const METHOD = "token.held"
/** Of one answer. */
const PAGE_TOKENS = 1_000

export class TokensElsewhere {
  readonly #port: LinkPort
  readonly #holders = new Map<string, number>()

  constructor(port: LinkPort, tokens: Tokens) {
    this.#port = port
    port.answer(METHOD, async (from, { facts }) => ({
      facts: await tokens.page(prefixOf(from), facts as string, PAGE_TOKENS)
    }))
  }

  get count(): number {
    return this.#holders.size
  }

  /** The shard that holds a token; undefined = none of the others did. */
  holderOf(token: string): number | undefined {
    return this.#holders.size === 0 ? undefined : this.#holders.get(token)
  }

  givenBack(token: string): void {
    this.#holders.delete(token)
  }

  /** Asks the other shards, once at the start. */
  async read(): Promise<void> {
    const port = this.#port
    for (let shard = 0; shard < port.shards; shard++) {
      let after = shard === port.shard ? undefined : ""
      while (after !== undefined) {
        const { facts } = await port.call(shard, METHOD, { facts: after })
        const page = facts as ReadonlyArray<string>
        for (const token of page) this.#holders.set(token, shard)
        after = page.length < PAGE_TOKENS ? undefined : page.at(-1)
      }
    }
  }
}

/** How the tokens of a shard's messages begin. */
const prefixOf = (shard: number): string => `${shard}/`
