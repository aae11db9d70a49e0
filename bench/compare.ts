/**
 * `npm run bench:compare -- [SCENARIO...] [options]`: this broker beside the peers that package registries offer.
 *
 * Installs what is missing into a cache folder outside the repository, says what could not be installed and why, then runs
 * interleaved rounds and writes markdown to stdout and, with --json, a report that a program can read. What is fair about it,
 * and what is not: bench/README.md.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { brokersOf } from "./brokers/all.ts"
import type { Broker } from "./brokers/Broker.ts"
import type { Build } from "./brokers/manifold.ts"
import { cacheFolder, useCacheFolder } from "./brokers/peers/install.ts"
import { installAll } from "./brokers/peers/packages.ts"
import { machineLines } from "./machine.ts"
import type { MeasureOptions } from "./measure.ts"
import { type Measured, runRounds } from "./rounds.ts"
import { quick, type Scenario, scenarioNamed } from "./scenarios.ts"
import { tableOf } from "./table.ts"

/** Who is beside whom, by scenario: as it comes where messages pass, and in every persistence where they are kept. */
const PASSING = ["manifold", "manifold-no-topic", "mosquitto", "rumqttd", "nats", "mochi", "aedes", "floor"]
const KEEPING = [
  "manifold-durable",
  "mosquitto-persistent",
  "mosquitto-strict",
  "rumqttd",
  "nats",
  "nats-strict",
  "mochi",
  "mochi-bolt",
  "aedes",
  "aedes-level"
]
const PLAN: readonly (readonly [scenario: string, brokers: readonly string[]])[] = [
  // What the driver can do: against a server that only copies, and so much open that neither waits for the other.
  ["driver-limit", ["floor"]],
  ["q0-pair", PASSING],
  ["q1-pair", PASSING],
  ["fan-out", PASSING],
  ["fan-in", PASSING],
  ["durable-1k", [...KEEPING, "floor"]],
  ["offline", KEEPING],
  ["offline-kill", KEEPING]
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    brokers: { type: "string" },
    build: { type: "string", default: "auto" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string" },
    "warm-up": { type: "string" },
    directory: { type: "string" },
    cache: { type: "string" },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    "no-install": { type: "boolean", default: false },
    help: { type: "boolean", default: false }
  }
})

const HELP = `npm run bench:compare -- [SCENARIO...] [options]      (none: ${PLAN.map(([name]) => name).join(" ")})
  --brokers LIST   only these, of ${[...new Set(PLAN.flatMap(([, names]) => names))].join()}
  --build WHICH    auto | source | executable | deno: which Manifold is measured
  --rounds N       interleaved rounds (3)      --seconds N   measured seconds a round (4)
  --warm-up N      seconds before them (2)     --directory D where brokers keep their data
  --cache DIR      where peers are installed (${cacheFolder()})
  --no-install     measure what is there       --json FILE   a report that a program can read
  --quick          one short round with fewer clients: shows that all works, compares nothing`

// Ending by `exit` ends the broker and the driver too.
process.on("SIGINT", () => process.exit(130))
process.on("SIGTERM", () => process.exit(143))

if (values.help) console.log(HELP)
else process.exitCode = await main()

async function main(): Promise<number> {
  if (values.cache !== undefined) useCacheFolder(values.cache)
  const plan = planned()
  const rounds = values.quick ? 1 : Number(values.rounds)
  const options: MeasureOptions = {
    level: 4,
    payloadBytes: 64,
    warmUpSeconds: Number(values["warm-up"] ?? (values.quick ? "0.3" : "2")),
    seconds: Number(values.seconds ?? (values.quick ? "0.7" : "4")),
    ...(values.directory === undefined ? {} : { directory: values.directory })
  }
  if (plan === undefined || !(rounds >= 1) || !(options.seconds > 0) || !(options.warmUpSeconds > 0)) {
    console.error(HELP)
    return 2
  }
  const command = ["npm run bench:compare --", ...process.argv.slice(2)].join(" ")
  const head = [
    "# Brokers side by side",
    "",
    `    ${command}`,
    "",
    ...machineLines(options.directory).map((line) => `- ${line}`)
  ]
  head.push(
    `- MQTT 3.1.1, payload ${options.payloadBytes} B, ${options.warmUpSeconds} s warm-up, ${options.seconds} s measured, ` +
      `${rounds} interleaved round${rounds === 1 ? "" : "s"}, a fresh process and a fresh folder for each`
  )
  console.log(head.join("\n"))
  const installed: string[] = []
  if (!values["no-install"]) {
    // What is being done goes to stderr, so that the report on stdout is only the report.
    installAll((line) => {
      installed.push(line)
      console.error(line)
    })
  }

  const wanted = new Set(plan.flatMap(({ brokers }) => brokers))
  const known = brokersOf(values.build as Build).filter(({ name }) => wanted.has(name))
  const brokers = known.filter((broker) => broker.missing() === undefined)
  console.log(["", "## Brokers", "", ...known.flatMap(describe), ""].join("\n"))

  const reports: Measured[] = []
  const tables: string[] = []
  let failures = 0
  for (const { scenario, brokers: names } of plan) {
    const here = brokers.filter(({ name }) => names.includes(name))
    const result = await runRounds(scenario, here, rounds, options)
    reports.push(...result.reports)
    failures += result.failures
    const table = tableOf(scenario, result.rows, "markdown")
    tables.push(table)
    console.log(table)
  }
  if (values.json !== undefined) {
    const report = {
      command,
      machine: machineLines(options.directory),
      at: new Date().toISOString(),
      rounds,
      options,
      installed,
      brokers: known.map((broker) => ({
        name: broker.name,
        about: broker.missing() ?? broker.about(),
        isMeasured: broker.missing() === undefined,
        storage: broker.storage,
        promise: broker.promise,
        survives: broker.survives,
        settings: broker.settings()
      })),
      reports
    }
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  }
  return failures > 0 || brokers.length === 0 ? 1 : 0
}

interface Planned {
  readonly scenario: Scenario
  readonly brokers: readonly string[]
}

/** The scenarios that were asked for with their brokers, or undefined where a name is none. */
function planned(): readonly Planned[] | undefined {
  const names = PLAN.map(([name]) => name)
  const typed = values.brokers?.split(",")
  if (positionals.some((name) => !names.includes(name))) return undefined
  const every = new Set(PLAN.flatMap(([, names]) => names))
  if (typed?.some((name) => !every.has(name))) return undefined
  const plan: Planned[] = []
  for (const [name, brokers] of PLAN) {
    const scenario = scenarioNamed(name)
    if (scenario === undefined || (positionals.length > 0 && !positionals.includes(name))) continue
    const chosen = brokers.filter((broker) => typed === undefined || typed.includes(broker))
    plan.push({ scenario: values.quick ? quick(scenario) : scenario, brokers: chosen })
  }
  return plan
}

/** A broker with its version, its promise and its whole configuration. */
function describe(broker: Broker): string[] {
  const missing = broker.missing()
  if (missing !== undefined) return [`- **${broker.name}**: left out, ${missing}`]
  const settings = broker.settings()
  return [
    `- **${broker.name}**: ${broker.about()}. When PUBACK comes, a message is ${broker.promise}.`,
    "",
    ...settings.map((line) => `      ${line}`),
    ""
  ]
}
