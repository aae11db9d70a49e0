/** The way to the owner of a group: requests of another shard, also those that came before this one was there. */
import { deepStrictEqual, equal } from "node:assert"
import { test } from "node:test"
import { ByteReader, ByteWriter, type MailReceiver } from "../../../core/mod.ts"
import { FakeTime } from "../fakes.ts"
import { describeGroups, heartbeat, listGroups } from "../wire/apis.ts"
import { makeTestGroups } from "./fakes.ts"
import { GroupLink } from "./GroupLink.ts"

const CALLER = { tenant: 0, version: 6, clientId: "c", clientHost: "/h", retentionMs: -1 }

/** Shards whose frames lie here until they are carried. */
class Wire {
  readonly frames: Array<{ readonly from: number; readonly to: number; readonly bytes: Uint8Array }> = []
  readonly #receivers = new Map<number, MailReceiver>()
  link(index: number): GroupLink {
    const time = new FakeTime()
    const { coordinator } = makeTestGroups(time, { find: () => undefined, findById: () => undefined })
    return new GroupLink(coordinator, {
      index,
      count: 2,
      ownerOfGroup: (_, group) => (group.startsWith("0") ? 0 : 1),
      mailbox: (_, receive) => {
        let to = -1
        this.#receivers.set(index, receive)
        return {
          begin: (target) => {
            to = target
            return new ByteWriter()
          },
          end: (writer) => void this.frames.push({ from: index, to, bytes: writer.bytes.slice(0, writer.length) })
        }
      }
    })
  }
  carry(to: number): void {
    for (const frame of this.frames.splice(0)) {
      if (frame.to !== to) this.frames.push(frame)
      else this.#receivers.get(to)?.(frame.from, new ByteReader().reset(frame.bytes, 0, frame.bytes.length))
    }
  }
}

test("what is asked before the owner is there is answered when it is, in order", () => {
  const wire = new Wire()
  const near = wire.link(0)
  const told: Array<unknown> = []
  const beat = { groupId: "1", generationId: 1, memberId: "m", groupInstanceId: null }
  near.ask(near.ownerOf(0, "1"), heartbeat, CALLER, beat, ({ errorCode }) => told.push(errorCode))
  const groups = ["1"]
  near.ask(1, describeGroups, CALLER, { groups, includeAuthorizedOperations: false }, (answer) => {
    told.push(answer.groups[0]?.errorMessage)
  })
  deepStrictEqual([told, wire.frames.length], [[], 2])
  // A mailbox keeps what comes before it is opened.
  wire.link(1)
  wire.carry(1)
  equal(wire.frames.length, 2)
  wire.carry(0)
  deepStrictEqual(told, [25, "Group 1 not found."])
})

test("what this shard owns is answered in place", () => {
  const link = new Wire().link(0)
  let count = -1
  link.ask(0, listGroups, CALLER, { statesFilter: [], typesFilter: [] }, ({ groups }) => {
    count = groups.length
  })
  equal(count, 0)
})
