/** Rows that must not be lost to a power failure, in any mode. */
import type { JournalShape } from "../journal/Journal.ts"
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"

/** Whether the row stands on the disk, when that is known: power failures must not take back what is committed, in any mode. */
export async function writeSynced(journal: JournalShape, row: KeyValueWrite): Promise<boolean> {
  if (journal.refusal !== 0) return false
  const index = journal.nextIndex
  const ticket = journal.submit({ writes: [row] })
  const { tickets } = journal
  await new Promise<void>((resolve) => tickets.whenCommitted(ticket, resolve))
  if (tickets.takeOutcome(ticket) !== 0) return false
  return journal.whenSynced(index).then(
    () => true,
    () => false
  )
}
