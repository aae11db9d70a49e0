/**
 * The same random requests of consumers for this broker and for Apache Kafka: Fetch with sessions, ListOffsets, OffsetForLeaderEpoch.
 *
 *     bun tests/differential/kafka/main.ts [--seed N] [--runs N] [--steps N]
 *
 * A run is a sequence on topics of its own; half way through all runs both brokers start anew, so that later epochs have history. Prints
 * each difference with the command that repeats it, and ends with 1 where there is one. Apache Kafka's jars have to be there
 * (`npm run bench -- kafka --install`, or KAFKA_LIBS).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type RunningKafka, startKafka } from "../../../bench/brokers/kafka/apache-kafka.ts"
import { kafkaMissing } from "../../../bench/brokers/kafka/libraries.ts"
import { programCommand, ROOT } from "../../support/runtime.ts"
import { Side } from "./Side.ts"
import { Chance, PARTITIONS, type Step, Steps } from "./steps.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    runs: { type: "string", default: "40" },
    steps: { type: "string", default: "40" },
    show: { type: "boolean", default: false }
  }
})
const missing = kafkaMissing()
if (missing !== undefined) {
  console.error(missing)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), "manifold-kafka-"))
let kafka: RunningKafka | undefined
let manifold: ChildProcess | undefined
let differences = 0
let compared = 0
try {
  await main()
} finally {
  manifold?.kill("SIGKILL")
  await kafka?.stop()
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${compared} answers compared, ${differences} differences`)
process.exit(differences === 0 ? 0 : 1)

async function main(): Promise<void> {
  const seed = Number(values.seed)
  const runs = Number(values.runs)
  const startMs = Date.now() - 60_000
  mkdirSync(join(folder, "kafka"))
  const [kafkaPort, manifoldPort] = [await startApache(), await startOurs()]
  const theirs = await Side.open("Apache Kafka", kafkaPort)
  const ours = await Side.open("Manifold", manifoldPort)
  console.log(`--seed ${seed} --runs ${runs} --steps ${values.steps}`)
  compare("versions", -1, await theirs.versions(), await ours.versions())
  const sequences = Array.from({ length: runs }, (_, run) => {
    const topics = [`r${run}-a`, `r${run}-b`]
    return { run, topics, steps: new Steps(new Chance(seed + run), topics, startMs) }
  })
  const count = Number(values.steps)
  for (const { run, topics, steps } of sequences) {
    for (const side of [theirs, ours]) await side.topics(topics)
    for (let index = 0; index < count / 2; index++) await compareStep(run, steps.next(), theirs, ours)
  }
  await kafka?.stop()
  manifold?.kill("SIGKILL")
  await new Promise((ended) => manifold?.once("exit", ended))
  await theirs.reopen(await startApache(kafkaPort))
  await ours.reopen(await startOurs())
  for (const { run, topics, steps } of sequences) {
    for (const side of [theirs, ours]) await side.topics(topics)
    for (let index = count / 2; index < count; index++) await compareStep(run, steps.next(), theirs, ours)
  }
  theirs.close()
  ours.close()
}

async function compareStep(run: number, step: Step, theirs: Side, ours: Side): Promise<void> {
  const [expected, found] = await Promise.all([answer(theirs, step), answer(ours, step)])
  compare(
    JSON.stringify(step, (key, value) => (key === "bytes" ? undefined : value)),
    run,
    expected,
    found
  )
}

function answer(side: Side, step: Step): Promise<unknown> {
  switch (step.kind) {
    case "produce":
      return side.produce(step)
    case "fetch":
      return side.fetch(step)
    case "list":
      return side.listOffsets(step)
    case "epoch":
      return side.epochEnd(step)
  }
}

function compare(step: string, run: number, expected: unknown, found: unknown): void {
  compared += 1
  const [theirs, ours] = [JSON.stringify(expected), JSON.stringify(found)]
  if (values.show) console.log(`${step}\n  ${ours}`)
  if (theirs === ours) return
  differences += 1
  if (differences > 20) return
  console.log(`run ${run}: ${step}\n  Apache Kafka: ${theirs}\n  Manifold:     ${ours}`)
}

async function startApache(port?: number): Promise<number> {
  const lines = [`num.partitions=${PARTITIONS}`]
  const javaOptions = ["-Xmx512m"]
  const isReady = async (at: number): Promise<boolean> => {
    try {
      const side = await Side.open("Apache Kafka", at)
      await side.versions()
      side.close()
      return true
    } catch {
      return false
    }
  }
  kafka = await startKafka(join(folder, "kafka"), isReady, {
    lines,
    javaOptions,
    ...(port === undefined ? {} : { port })
  })
  return kafka.port
}

function startOurs(): Promise<number> {
  const [program = "", ...rest] = programCommand("cli/main.ts")
  const set = ["protocol-mqtt.tcp", "protocol-mqtt.websocket", "protocol-kafka.tcp", "admin-http.tcp"].map(
    (name) => `${name}=127.0.0.1:0`
  )
  const options = [
    ...set,
    "topics.engine=segment",
    "topics.mode=persistent",
    `topics.partitions=${PARTITIONS}`
  ].flatMap((one) => ["--set", one])
  const child = spawn(program, [...rest, "start", "--data", join(folder, "manifold"), ...options], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"]
  })
  manifold = child
  return new Promise((resolve, reject) => {
    let text = ""
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk
      const port = /protocol-kafka\.tcp=\S*?:(\d+)/.exec(text)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once("exit", () => reject(new Error(`it ended before it was ready: ${text}`)))
  })
}
