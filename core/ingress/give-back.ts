/**
 * Tokens given back, whichever shard holds them. While a topic is being made the shards may see its owner differently for a moment, and
 * a message is passed on once more: who stores it in the end is not always the shard that its sender gave it to.
 */
import type { LinkPort } from "../link/LinkPort.ts"
import { FAILED } from "../log/Engines.ts"
import type { Tokens } from "./Tokens.ts"

const METHOD = "token.give-back"

/** Answers other shards. */
export function answerGiveBacks(port: LinkPort, tokens: Tokens): void {
  port.answer(METHOD, (_from, { facts }) => {
    const token = facts as string
    if (tokens.ticketOf(token) === undefined) return { facts: 0 }
    return new Promise((resolve) => tokens.giveBackThen(token, (outcome) => resolve({ facts: outcome })))
  })
}

/** Has every shard forget a token; `done` gets 0 when all have, for good, or why one cannot. */
export function giveBackEverywhere(
  port: LinkPort,
  tokens: Tokens,
  token: string,
  done: (outcome: number) => void
): void {
  let waiting = port.shards
  let worst = 0
  const answered = (outcome: number): void => {
    worst = Math.min(worst, outcome)
    waiting -= 1
    if (waiting === 0) done(worst)
  }
  for (let shard = 0; shard < port.shards; shard++) {
    if (shard !== port.shard) {
      const told = {
        resolve: ({ facts }: { readonly facts: unknown }) => answered(facts as number),
        reject: () => answered(FAILED)
      }
      port.ask(shard, METHOD, { facts: token }, told)
    } else if (tokens.ticketOf(token) === undefined) answered(0)
    else tokens.giveBackThen(token, answered)
  }
}
