/**
 * `npm run bench -- [SCENARIO...] [options]`: runs scenarios against brokers and prints one table a scenario.
 *
 * Rounds are interleaved (A B A B ...) and the median of the rounds is printed with its spread, because on one machine
 * only what ran side by side can be compared. How to read the rows: bench/README.md.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { BROKERS_BY_DEFAULT, brokersOf, DURABLE_BY_DEFAULT, isDurable } from "./brokers/all.ts"
import type { Broker } from "./brokers/Broker.ts"
import type { Build } from "./brokers/manifold.ts"
import { useCacheFolder } from "./brokers/peers/install.ts"
import { machineLines } from "./machine.ts"
import type { MeasureOptions } from "./measure.ts"
import { type Measured, runRounds } from "./rounds.ts"
import { quick, SCENARIOS, type Scenario } from "./scenarios.ts"
import { tableOf } from "./table.ts"

/** What was typed makes no sense; the message says what would. */
class UsageError extends Error {}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    brokers: { type: "string" },
    directory: { type: "string" },
    cache: { type: "string" },
    build: { type: "string", default: "auto" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string" },
    "warm-up": { type: "string" },
    payload: { type: "string", default: "64" },
    mqtt: { type: "string", default: "4" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    markdown: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    install: { type: "boolean", default: false },
    help: { type: "boolean", default: false }
  }
})

const HELP = `npm run bench -- [SCENARIO...] [options]      (no scenario: all; a prefix such as "q0" or "latency" will do)
npm run bench -- micro [NAME...]               micro benchmarks
npm run bench -- storage [append|compaction|compression|read|recovery|topics]  the engines without a protocol in front of them
npm run bench -- kafka [SCENARIO...]           what Kafka clients do, beside Apache Kafka; --install gets its jars by Maven
  --brokers LIST   ${BROKERS_BY_DEFAULT.join()};
                   where durability is measured ${DURABLE_BY_DEFAULT.join()};
                   also mosquitto-default, floor, and the peers that npm run bench:compare installs
  --directory DIR  where brokers keep their data (the system's folder for temporary files)
  --build WHICH    auto | source | executable | deno: which Manifold is measured
  --rounds N       interleaved rounds (3)      --seconds N   measured seconds a round (4)
  --warm-up N      seconds before them (2)     --payload N   bytes a message (64)
  --mqtt 4|5       MQTT 3.1.1 or 5.0           --quick       one round, 0.7 s, fewer clients
  --json FILE      every report as JSON        --markdown    tables as markdown
  --list           the scenarios               --cache DIR   where the peers are installed`

// Ending by `exit` ends the broker and the driver too.
process.on("SIGINT", () => process.exit(130))
process.on("SIGTERM", () => process.exit(143))

if (values.help) {
  console.log(HELP)
} else if (values.list) {
  for (const { name, about } of SCENARIOS) console.log(`${name.padEnd(16)} ${about}`)
} else if (positionals[0] === "storage") {
  const { runStorage } = await import("./storage/main.ts")
  const seconds = Number(values.seconds ?? (values.quick ? 0.5 : 4))
  const build = (values.build ?? "auto") as Build
  await runStorage(positionals.slice(1), { directory: values.directory, seconds, isQuick: values.quick, build })
  process.exit(0)
} else if (positionals[0] === "kafka") {
  const { runKafka } = await import("./kafka/main.ts")
  const { rounds, directory, quick: isQuick } = values
  const names = positionals.slice(1)
  const build = (values.build ?? "auto") as Build
  const times = { rounds: Number(rounds), seconds: Number(values.seconds ?? 6), warmUp: Number(values["warm-up"] ?? 4) }
  if (values.cache !== undefined) useCacheFolder(values.cache)
  process.exit(
    await runKafka(names, { brokers: values.brokers, directory, build, isQuick, install: values.install, ...times })
  )
} else if (positionals[0] === "micro") {
  const { runMicro } = await import("./micro/main.ts")
  await runMicro(positionals.slice(1), values.quick)
} else {
  try {
    process.exitCode = await compare()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    process.exitCode = 2
  }
}

async function compare(): Promise<number> {
  if (values.cache !== undefined) useCacheFolder(values.cache)
  const known = brokersOf(oneOf("--build", values.build, ["auto", "source", "executable", "deno"]) as Build)
  const names = known.map((broker) => broker.name)
  const typed = values.brokers?.split(",").map((name) => oneOf("--brokers", name, names))
  const wantedFor = (scenario: Scenario): readonly string[] =>
    typed ?? (isDurable(scenario) ? DURABLE_BY_DEFAULT : BROKERS_BY_DEFAULT)
  const scenarios = chosen(positionals).map((scenario) => (values.quick ? quick(scenario) : scenario))
  const rounds = values.quick ? 1 : positive("--rounds", values.rounds)
  const options: MeasureOptions = {
    level: Number(oneOf("--mqtt", values.mqtt, ["4", "5"])) as 4 | 5,
    payloadBytes: positive("--payload", values.payload),
    warmUpSeconds: positive("--warm-up", values["warm-up"] ?? (values.quick ? "0.3" : "2")),
    seconds: positive("--seconds", values.seconds ?? (values.quick ? "0.7" : "4")),
    ...(values.directory === undefined ? {} : { directory: values.directory })
  }

  const brokers: Broker[] = []
  const wanted = new Set(scenarios.flatMap(wantedFor))
  for (const broker of known.filter(({ name }) => wanted.has(name))) {
    const missing = broker.missing()
    if (missing === undefined) brokers.push(broker)
    console.log(`${broker.name}: ${missing === undefined ? broker.about() : `left out, ${missing}`}`)
  }
  for (const line of machineLines(options.directory)) console.log(line)
  const mqtt = options.level === 5 ? "MQTT 5.0" : "MQTT 3.1.1"
  console.log(
    `${mqtt}, payload ${options.payloadBytes} B, ${options.warmUpSeconds} s warm-up, ${options.seconds} s measured, ` +
      `${rounds} interleaved round${rounds === 1 ? "" : "s"}, a fresh broker process for each\n`
  )

  const all: Measured[] = []
  let failures = 0
  for (const scenario of scenarios) {
    // A scenario may have a length of its own; what was typed wins.
    const own = "seconds" in scenario && values.seconds === undefined ? { seconds: scenario.seconds } : {}
    const here = brokers.filter(({ name }) => wantedFor(scenario).includes(name))
    const { rows, reports, failures: failed } = await runRounds(scenario, here, rounds, { ...options, ...own })
    all.push(...reports)
    failures += failed
    console.log(tableOf(scenario, rows, values.markdown ? "markdown" : "text"))
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(all, null, 2)}\n`)
  return failures > 0 || brokers.length === 0 ? 1 : 0
}

/** The scenarios whose names are, or begin with, one of `names`; all of them for none. */
function chosen(names: readonly string[]): readonly Scenario[] {
  for (const name of names) {
    if (SCENARIOS.some((scenario) => scenario.name.startsWith(name))) continue
    throw new UsageError(`no scenario ${name}; there are ${SCENARIOS.map((scenario) => scenario.name).join(", ")}`)
  }
  if (names.length === 0) return SCENARIOS
  return SCENARIOS.filter((scenario) => names.some((name) => scenario.name.startsWith(name)))
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new UsageError(`${option} is a number above 0, not ${text}`)
  return value
}

function oneOf(option: string, text: string, allowed: readonly string[]): string {
  if (!allowed.includes(text)) throw new UsageError(`${option} is one of ${allowed.join(", ")}, not ${text}`)
  return text
}
