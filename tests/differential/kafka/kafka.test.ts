/** Some random sequences compared with Apache Kafka, where its jars are: `main.ts` has as many as are wanted. */
import { expect } from "bun:test"
import { join } from "node:path"
import { kafkaMissing } from "../../../bench/brokers/kafka/libraries.ts"
import { IS_EXTERNAL, ROOT } from "../../support/broker.ts"
import { run, testWith } from "../../support/tools.ts"

const missing = IS_EXTERNAL ? "another broker is tried" : kafkaMissing()
const LIMIT_MS = 240_000

testWith(
  missing === undefined ? [] : [{ missing }],
  "consumers' requests are answered as Apache Kafka answers them",
  async () => {
    const args = [join(ROOT, "tests/differential/kafka/main.ts"), "--seed", "1", "--runs", "6", "--steps", "80"]
    const { stdout, code } = await run(process.execPath, args, { timeoutMs: LIMIT_MS })
    expect({ last: stdout.trim().split("\n").at(-1), code }).toEqual({
      last: "481 answers compared, 0 differences",
      code: 0
    })
  },
  LIMIT_MS + 10_000
)
