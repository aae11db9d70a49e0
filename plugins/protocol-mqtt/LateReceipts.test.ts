import assert from "node:assert/strict"
import { test } from "node:test"
import { TicketStream } from "../../core/mod.ts"
import type { DurableSession } from "./DurableSession.ts"
import { LateReceipts } from "./LateReceipts.ts"

/** A session that notes the rows it writes. */
function make() {
  const rows: Array<number> = []
  const commits: Array<() => void> = []
  const session = {
    isEnded: false,
    connection: {},
    hasReceived: () => true,
    keepReceived: (identifier: number) => void rows.push(identifier),
    broker: { whenCommitted: (done: (outcome: number) => void) => void commits.push(() => done(0)) }
  }
  return { late: new LateReceipts(session as unknown as DurableSession), rows, commits }
}

test("a row is written when its own message is stored, whatever those before it wait for; PUBRECs keep their order", () => {
  const { late, rows, commits } = make()
  const [stuck, quick] = [new TicketStream(), new TicketStream()]
  late.wait(1, stuck, stuck.issue(), 0)
  late.wait(2, quick, quick.issue(), 0)
  late.wait(3, quick, quick.issue(), 0)
  quick.commit(1)
  assert.deepEqual(rows, [2])
  quick.commit(2)
  assert.deepEqual(rows, [2, 3])
  for (const commit of commits.splice(0)) commit()
  assert.equal(late.stream.committed, 0)
  stuck.commit(1)
  assert.deepEqual(rows, [2, 3, 1])
  for (const commit of commits.splice(0)) commit()
  assert.equal(late.stream.committed, late.stream.issued)
  assert.equal(late.isWaiting, false)
  // Where nothing waits any more it is as at the beginning.
  late.wait(4, quick, quick.issue(), 0)
  quick.commit(3)
  assert.deepEqual(rows, [2, 3, 1, 4])
})
