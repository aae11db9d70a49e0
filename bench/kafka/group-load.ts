/** A thousand consumers in a hundred groups, as they are when little is produced: they wait for records, say that they live, and commit. */
import { fetch, offsetCommit } from "../../plugins/protocol-kafka/wire/apis.ts"
import { UsageWatch } from "../driver/process-usage.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { FETCH_VERSION, idleFetch, TOPIC } from "./load.ts"
import { Member } from "./Member.ts"
import type { Figures, FigureTask } from "./scenarios.ts"
import { shareBelow, sleep } from "./timing.ts"

const GROUPS = 100
const MEMBERS = 10
const HEARTBEAT_MS = 3_000
const COMMIT_MS = 5_000
const COMMIT_VERSION = 7
const JOIN_MS_MAX = 120_000

export async function measureGroups({ port, pid, partitions, seconds }: FigureTask): Promise<Figures> {
  const members: Array<Member> = []
  const startMs = performance.now()
  const settled = new Set<Member>()
  for (let each = 0; each < MEMBERS; each++) {
    const joining = Array.from({ length: GROUPS }, (_, group) => {
      const facts = { port, groupId: `group-${group}`, partitions, heartbeatMs: HEARTBEAT_MS }
      return Member.join({ ...facts, settled: (member) => settled.add(member) })
    })
    members.push(...(await Promise.all(joining)))
  }
  // All partitions are somebody's, each once.
  const isDealt = (): boolean =>
    members.reduce((sum, { assignment }) => sum + assignment.length, 0) === GROUPS * partitions &&
    members.every((member) => settled.has(member) && member.assignment.length === partitions / MEMBERS)
  while (!isDealt()) {
    if (performance.now() - startMs > JOIN_MS_MAX) throw new Error("the groups do not settle")
    await sleep(10)
  }
  const joinedSeconds = (performance.now() - startMs) / 1_000
  let isOver = false
  let fetches = 0
  let faults = 0
  const commits: Array<number> = []
  for (const member of members) {
    // A consumer of the classic protocol has a connection of its own to its coordinator.
    const reader = await KafkaClient.open(port)
    const wait = (): void => {
      if (isOver) return
      const wanted = member.assignment.map((partition) => [partition, 0] as const)
      reader.send(fetch, FETCH_VERSION, idleFetch(TOPIC, wanted), ({ errorCode }) => {
        fetches += 1
        if (errorCode !== 0) faults += 1
        wait()
      })
    }
    wait()
    void commitAgainAndAgain(member)
  }
  async function commitAgainAndAgain(member: Member): Promise<void> {
    await sleep(Math.random() * COMMIT_MS)
    while (!isOver) {
      const { groupId, memberId, generation, assignment } = member
      const own = assignment.map((partitionIndex) => {
        return { partitionIndex, committedOffset: commits.length, committedMetadata: "" }
      })
      const whose = { groupId, generationIdOrMemberEpoch: generation, memberId, groupInstanceId: null }
      const sentMs = performance.now()
      const topics = [{ name: TOPIC, partitions: own }]
      const answer = await member.client.call(offsetCommit, COMMIT_VERSION, { ...whose, topics })
      commits.push(performance.now() - sentMs)
      if (answer.topics.some((topic) => topic.partitions.some(({ errorCode }) => errorCode !== 0))) faults += 1
      await sleep(COMMIT_MS)
    }
  }
  await sleep(COMMIT_MS)
  const watch = new UsageWatch(pid)
  const before = fetches
  commits.length = 0
  await sleep(seconds * 1_000)
  const { brokerMicros, rssMiB } = watch.end()
  const perSecond = (fetches - before) / seconds
  isOver = true
  for (const member of members) faults += member.faults
  return {
    "joined s": joinedSeconds,
    "core %": brokerMicros / 10_000 / seconds,
    "RSS MiB": rssMiB,
    "fetches/s": perSecond,
    "commit p50 ms": shareBelow(commits, 0.5),
    "commit p99 ms": shareBelow(commits, 0.99),
    faults
  }
}
