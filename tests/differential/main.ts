/**
 * The same random valid sequences for this broker, on one shard and on two, and for mosquitto:
 *
 *     bun tests/differential/main.ts [--seed N] [--runs N] [--path P]
 *
 * Prints what was compared, and how often each known difference came (`explained.ts`). Ends with 1 at the first that is not explained: the
 * sequence, as short as it gets, and the command that repeats it. mosquitto has to be installed, in the version that the table speaks of.
 */
import { parseArgs } from "node:util"
import { differ } from "./differ.ts"
import { comparedMosquitto } from "./Mosquitto.ts"
import { showDifference, showSequence } from "./show.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    runs: { type: "string", default: "500" },
    path: { type: "string" }
  }
})
const mosquitto = comparedMosquitto()
if ("missing" in mosquitto) {
  console.error(mosquitto.missing)
  process.exit(2)
}
console.log(`--seed ${values.seed} --runs ${values.runs}`)
const { path } = values
const report = await differ({
  seed: Number(values.seed),
  runs: Number(values.runs),
  ...(path === undefined ? {} : { path })
})
console.log(`${report.sequences} sequences, ${report.steps} steps, ${report.messages} messages to compare`)
for (const [{ name, statement, right }, count] of report.explained) {
  console.log(`${count} times ${name} (${statement}): ${right === "ours" ? "mosquitto's fault" : "both may"}`)
}
if (report.failure !== undefined) {
  const { sequence, differences, replay } = report.failure
  console.log(showSequence(sequence))
  for (const difference of differences) console.log(showDifference(difference))
  console.log(`bun tests/differential/main.ts ${replay}`)
  process.exit(1)
}
