/** One record a batch at a steady rate: how long until it is acknowledged, and until a consumer that waits has read it. */
import { recordBatch } from "../../core/mod.ts"
import { fetch, produce } from "../../plugins/protocol-kafka/wire/apis.ts"
import { UsageWatch } from "../driver/process-usage.ts"
import { producedBatch } from "./batches.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { FETCH_VERSION, idleFetch, PRODUCE_VERSION, TOPIC } from "./load.ts"
import type { Figures, FigureTask } from "./scenarios.ts"
import { shareBelow, sleep } from "./timing.ts"

const RATE = 500

export async function measureLatency({ port, pid, seconds, warmUpSeconds, valueBytes }: FigureTask): Promise<Figures> {
  const [producer, consumer] = [await KafkaClient.open(port), await KafkaClient.open(port)]
  const bytes = producedBatch(1, valueBytes, 1)
  /** When each offset was sent; a broker that gave another has made a fault. */
  const sentMs: Array<number> = []
  const acknowledged: Array<number> = []
  const read: Array<number> = []
  let faults = 0
  let isOver = false
  const consume = (offset: number): void => {
    if (isOver) return
    consumer.send(fetch, FETCH_VERSION, idleFetch(TOPIC, [[0, offset]]), ({ responses }) => {
      const nowMs = performance.now()
      let next = offset
      const [found] = responses[0]?.partitions ?? []
      if (found !== undefined && found.errorCode !== 0) faults += 1
      const records = found?.records
      if (records) {
        for (let at = records.start; at < records.end; ) {
          const base = recordBatch.baseOffset(records.bytes, at)
          if (base !== next) faults += 1
          read[base] = nowMs - (sentMs[base] ?? nowMs)
          next = base + 1
          at += recordBatch.batchSize(records.bytes, at, records.end)
        }
      }
      consume(next)
    })
  }
  consume(0)
  const startMs = performance.now()
  let sent = 0
  let firstCounted = 0
  let watch: UsageWatch | undefined
  while (performance.now() - startMs < 1_000 * (warmUpSeconds + seconds)) {
    const passed = performance.now() - startMs
    if (watch === undefined && passed >= 1_000 * warmUpSeconds) {
      watch = new UsageWatch(pid)
      firstCounted = sent
    }
    for (; sent < (passed * RATE) / 1_000; sent++) {
      const offset = sent
      sentMs[offset] = performance.now()
      const partitionData = [{ index: 0, records: { bytes, start: 0, end: bytes.length } }]
      const request = { acks: -1, timeoutMs: 30_000, topicData: [{ name: TOPIC, partitionData }] }
      producer.send(produce, PRODUCE_VERSION, request, ({ responses }) => {
        acknowledged[offset] = performance.now() - (sentMs[offset] ?? 0)
        const [answer] = responses[0]?.partitionResponses ?? []
        if (answer?.errorCode !== 0 || Number(answer.baseOffset) !== offset) faults += 1
      })
    }
    await sleep(1)
  }
  const usage = watch?.end()
  await sleep(1_000)
  isOver = true
  faults += sent - acknowledged.filter((ms) => ms !== undefined).length
  faults += sent - read.filter((ms) => ms !== undefined).length
  const acks = acknowledged.slice(firstCounted)
  const reads = read.slice(firstCounted)
  return {
    "ack p50 ms": shareBelow(acks, 0.5),
    "ack p99 ms": shareBelow(acks, 0.99),
    "read p50 ms": shareBelow(reads, 0.5),
    "read p99 ms": shareBelow(reads, 0.99),
    "core %": (usage?.brokerMicros ?? 0) / 10_000 / seconds,
    "RSS MiB": usage?.rssMiB ?? 0,
    faults
  }
}
