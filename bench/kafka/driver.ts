/** The driver's process: does one {@link DriverTask}, given as JSON in its argument, and prints a {@link FlowReport} or {@link Figures}. */
import { UsageWatch } from "../driver/process-usage.ts"
import { measureGroups } from "./group-load.ts"
import { measureLatency } from "./latency.ts"
import { Counts, makeTopic, runFetch, runProduce } from "./load.ts"
import { measurePartitions } from "./many-partitions.ts"
import { measureRebalance } from "./rebalance.ts"
import { BATCH_BYTES, type DriverTask, type Figures, type FlowReport, type FlowTask } from "./scenarios.ts"

const task = JSON.parse(process.argv[2] ?? "") as DriverTask
await makeTopic(task)
console.log(JSON.stringify(await report(task)))
process.exit(0)

function report(given: DriverTask): Promise<FlowReport | Figures> {
  switch (given.kind) {
    case "latency":
      return measureLatency(given)
    case "groups":
      return measureGroups(given)
    case "rebalance":
      return measureRebalance(given)
    case "partitions":
      return measurePartitions(given)
    default:
      return measureFlow(given)
  }
}

async function measureFlow(given: FlowTask): Promise<FlowReport> {
  const counts = new Counts()
  if (given.kind === "fetch") {
    const stored = new Counts()
    await runProduce(given, stored, () => stored.bytes + BATCH_BYTES > given.storedBytes)
    if (stored.faults > 0) throw new Error(`${stored.faults} batches were refused`)
  }
  let isOver = false
  const run = given.kind === "fetch" ? runFetch : runProduce
  const running = run(given, counts, () => isOver)
  await Promise.race([rest(given.warmUpSeconds), running])
  const before = { ...counts }
  const watch = new UsageWatch(given.pid)
  const startMs = performance.now()
  await Promise.race([rest(given.seconds), running])
  const seconds = (performance.now() - startMs) / 1000
  const { brokerMicros, driverMicros, rssMiB } = watch.end()
  const after = { ...counts }
  isOver = true
  await running
  return {
    seconds,
    records: after.records - before.records,
    bytes: after.bytes - before.bytes,
    requests: after.requests - before.requests,
    brokerCpuSeconds: brokerMicros / 1e6,
    driverCpuSeconds: driverMicros / 1e6,
    rssMiB,
    faults: counts.faults
  }
}

function rest(seconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, seconds * 1000))
}
