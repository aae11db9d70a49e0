/** One more member in a large group, again and again: how long until everybody has the next generation's assignment. */
import { leaveGroup } from "../../plugins/protocol-kafka/wire/apis.ts"
import { UsageWatch } from "../driver/process-usage.ts"
import { Member } from "./Member.ts"
import type { Figures, FigureTask } from "./scenarios.ts"
import { shareBelow, sleep } from "./timing.ts"

const MEMBERS = 100
const ROUNDS = 10
const HEARTBEAT_MS = 100
const LEAVE_VERSION = 4
const SETTLE_MS_MAX = 60_000

export async function measureRebalance({ port, pid, partitions }: FigureTask): Promise<Figures> {
  const members = new Set<Member>()
  const join = async (): Promise<Member> => {
    const facts = { port, groupId: "large", partitions, heartbeatMs: HEARTBEAT_MS, settled: () => {} }
    const member = await Member.join(facts)
    members.add(member)
    return member
  }
  /** All have the assignment of one generation, and every partition is one's. */
  const isSettled = (): boolean => {
    const generations = new Set([...members].map(({ generation }) => generation))
    const dealt = new Set([...members].flatMap(({ assignment }) => assignment))
    return generations.size === 1 && !generations.has(-1) && dealt.size === partitions
  }
  const settled = async (): Promise<void> => {
    const untilMs = performance.now() + SETTLE_MS_MAX
    while (!isSettled()) {
      if (performance.now() > untilMs) throw new Error("the group does not settle")
      await sleep(1)
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: MEMBERS }, join))
  await settled()
  const joinedMs = performance.now() - startMs
  const watch = new UsageWatch(pid)
  const tookMs: Array<number> = []
  let faults = 0
  for (let round = 0; round < ROUNDS; round++) {
    const beganMs = performance.now()
    const guest = await join()
    await settled()
    tookMs.push(performance.now() - beganMs)
    const leaving = [{ memberId: guest.memberId, groupInstanceId: null }]
    const { groupId } = guest
    const left = await guest.client.call(leaveGroup, LEAVE_VERSION, { groupId, members: leaving })
    if (left.errorCode !== 0) faults += 1
    members.delete(guest)
    guest.stop()
    await sleep(2 * HEARTBEAT_MS)
    await settled()
  }
  const { brokerMicros, rssMiB } = watch.end()
  for (const member of members) faults += member.faults
  return {
    "first ms": joinedMs,
    "p50 ms": shareBelow(tookMs, 0.5),
    "longest ms": Math.max(...tookMs),
    "CPU ms each": brokerMicros / 1_000 / (2 * ROUNDS),
    "RSS MiB": rssMiB,
    faults
  }
}
