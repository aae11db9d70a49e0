/** A topic of ten thousand partitions: made, written to, described and read by one consumer. */
import { recordBatch } from "../../core/mod.ts"
import { createTopics, fetch, metadata, produce } from "../../plugins/protocol-kafka/wire/apis.ts"
import { UsageWatch } from "../driver/process-usage.ts"
import { producedBatch } from "./batches.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { FETCH_VERSION, idleFetch, PRODUCE_VERSION } from "./load.ts"
import type { Figures, FigureTask } from "./scenarios.ts"
import { sleep } from "./timing.ts"

const WIDE = "wide"
const PARTITIONS = 10_000
const IN_FLIGHT = 20
const METADATA_VERSION = 9
const MADE_MS_MAX = 120_000

export async function measurePartitions({ port, pid, valueBytes, seconds }: FigureTask): Promise<Figures> {
  const client = await KafkaClient.open(port)
  const since = (startMs: number): number => (performance.now() - startMs) / 1_000
  const watch = new UsageWatch(pid)
  let faults = 0
  let startMs = performance.now()
  const wish = { name: WIDE, numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] }
  const made = await client.call(createTopics, 5, { topics: [wish], timeoutMs: MADE_MS_MAX, validateOnly: false })
  if (made.topics[0]?.errorCode !== 0) faults += 1
  const describe = async () => {
    const { topics } = await client.call(metadata, METADATA_VERSION, { topics: [{ name: WIDE }] })
    return topics[0]?.partitions.filter(({ errorCode, leaderId }) => errorCode === 0 && leaderId >= 0).length ?? 0
  }
  while ((await describe()) < PARTITIONS) {
    if (since(startMs) * 1_000 > MADE_MS_MAX) throw new Error("the partitions are not led")
    await sleep(20)
  }
  const madeSeconds = since(startMs)

  const bytes = producedBatch(1, valueBytes, 1)
  const refused: Array<number> = Array.from({ length: PARTITIONS }, (_, partition) => partition)
  startMs = performance.now()
  // A leader is named a moment before it serves: what is refused is sent again, as a producer does.
  while (refused.length > 0) {
    const round = refused.splice(0)
    await inFlight(round, IN_FLIGHT, async (index) => {
      const partitionData = [{ index, records: { bytes, start: 0, end: bytes.length } }]
      const request = { acks: -1, timeoutMs: 30_000, topicData: [{ name: WIDE, partitionData }] }
      const { responses } = await client.call(produce, PRODUCE_VERSION, request)
      if (responses[0]?.partitionResponses[0]?.errorCode !== 0) refused.push(index)
    })
    if (refused.length > 0) await sleep(50)
    if (since(startMs) * 1_000 > MADE_MS_MAX) throw new Error("the partitions are not written")
  }
  const writtenSeconds = since(startMs)

  startMs = performance.now()
  const left = new Set(Array.from({ length: PARTITIONS }, (_, partition) => partition))
  while (left.size > 0 && since(startMs) * 1_000 < MADE_MS_MAX) {
    const wanted = [...left].map((partition) => [partition, 0] as const)
    const { responses } = await client.call(fetch, FETCH_VERSION, idleFetch(WIDE, wanted))
    for (const { partitions } of responses) {
      for (const { partitionIndex, errorCode, records } of partitions) {
        if (errorCode !== 0) faults += 1
        if (records && recordBatch.baseOffset(records.bytes, records.start) === 0) left.delete(partitionIndex)
      }
    }
  }
  faults += left.size
  const readSeconds = since(startMs)

  const described: Array<number> = []
  for (let each = 0; each < 20; each++) {
    startMs = performance.now()
    if ((await describe()) < PARTITIONS) faults += 1
    described.push(performance.now() - startMs)
  }
  const { brokerMicros } = watch.end()
  // At rest.
  const idle = new UsageWatch(pid)
  await sleep(seconds * 1_000)
  const rest = idle.end()
  return {
    "made s": madeSeconds,
    "written s": writtenSeconds,
    "read s": readSeconds,
    "Metadata ms": described.toSorted((one, other) => one - other)[10] ?? 0,
    "CPU s": brokerMicros / 1e6,
    "idle core %": rest.brokerMicros / 10_000 / seconds,
    "RSS MiB": rest.rssMiB,
    faults
  }
}

/** Does `work` for each, so many at once. */
async function inFlight(
  values: ReadonlyArray<number>,
  count: number,
  work: (value: number) => Promise<void>
): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: count }, async () => {
      for (let value = values[next++]; value !== undefined; value = values[next++]) await work(value)
    })
  )
}
