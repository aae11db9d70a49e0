/** The golden messages, read and written again by Apache Kafka's own classes, where its jars are. Those it serves no more are left out. */
import { expect } from "bun:test"
import { join } from "node:path"
import { kafkaLibraries, kafkaMissing } from "../../../bench/brokers/kafka/libraries.ts"
import rows from "../../../plugins/protocol-kafka/wire/golden/apache-classes.golden.json" with { type: "json" }
import { ROOT } from "../../support/broker.ts"
import { run, testWith } from "../../support/tools.ts"

const missing = kafkaMissing()
const served = rows.filter(({ message, version }) => !(message.startsWith("Produce") && version < 3))

testWith(
  missing === undefined ? [] : [{ missing }],
  "Apache Kafka's classes write every golden message as it is",
  async () => {
    const input = served.map(({ message, version, hex }) => `${message} ${version} ${hex}\n`).join("")
    const program = join(ROOT, "tests/differential/kafka/ReadMessages.java")
    const args = ["-cp", join(kafkaLibraries() ?? "", "*"), program]
    const { stdout, code } = await run(Bun.which("java") ?? "", args, { input, timeoutMs: 60_000 })
    const written = stdout.trim().split("\n")
    expect({ code, count: written.length }).toEqual({ code: 0, count: served.length })
    served.forEach(({ message, version, hex }, index) => {
      expect([message, version, written[index]]).toEqual([message, version, hex])
    })
  },
  70_000
)
