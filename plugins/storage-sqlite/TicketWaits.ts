/** Tickets as promises, for what is done once in a while. */
import { BACKLOG, DISK_FULL, StorageError, type TicketStream, Unusable } from "../../core/mod.ts"

export class TicketWaits {
  /** Settled when `ticket` of `stream` is committed; rejects with `StorageError` where it ends with a refusal. */
  wait(stream: TicketStream, ticket: number): Promise<void> {
    return new Promise((resolve, reject) => {
      stream.whenCommitted(ticket, () => {
        const outcome = stream.takeOutcome(ticket)
        if (outcome === 0) resolve()
        else reject(new StorageError({ engine: "sqlite", reason: new Unusable({ message: textOf(outcome) }) }))
      })
    })
  }
}

function textOf(outcome: number): string {
  if (outcome === DISK_FULL) return "the disk is full"
  return outcome === BACKLOG ? "the journal is full" : "a write to the journal failed"
}
