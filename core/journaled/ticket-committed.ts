/** A ticket as a promise, for what is done once in a while. */
import type { TicketStream } from "../journal/TicketStream.ts"
import { BACKLOG, DISK_FULL, StorageError, Unusable } from "../log/Engines.ts"

/** Settled when `ticket` of `stream` is committed; rejects with the engine's `StorageError` where it ends with a refusal. */
export function ticketCommitted(engine: string, stream: TicketStream, ticket: number): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.whenCommitted(ticket, () => {
      const outcome = stream.takeOutcome(ticket)
      if (outcome === 0) resolve()
      else reject(new StorageError({ engine, reason: new Unusable({ message: textOf(outcome) }) }))
    })
  })
}

function textOf(outcome: number): string {
  if (outcome === DISK_FULL) return "the disk is full"
  return outcome === BACKLOG ? "the journal is full" : "a write to the journal failed"
}
