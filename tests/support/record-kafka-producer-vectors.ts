/**
 * Writes plugins/protocol-kafka/wire/golden/producers.golden.json: bytes of InitProducerId and DescribeProducers at every version together
 * with the value that Apache's own classes read out of them, and which they write as the same bytes. What differs stops it, and nothing is
 * written.
 *
 * Run by hand: `KAFKA_LIBS=<folder of Apache Kafka's jars> bun tests/support/record-kafka-producer-vectors.ts`; the tests read the file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { describeProducers, initProducerId } from "../../plugins/protocol-kafka/wire/apis.ts"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import { type Api, inVersions } from "../../plugins/protocol-kafka/wire/schema.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"

const VECTORS_PER_VERSION = 2
const ORACLE = new URL("./java/KafkaOracle.java", import.meta.url).pathname
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/producers.golden.json", import.meta.url)

interface Vector {
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly value: Record<string, unknown>
}

const vectors: Array<Vector & { readonly expected: unknown }> = []
const apis: ReadonlyArray<Api> = [initProducerId, describeProducers]
for (const api of apis) {
  for (let version = api.versionMin; version <= api.versionMax; version++) {
    for (const side of ["request", "response"] as const) {
      const fields = api[side]
      const samples = fc.sample(messageArbitrary(fields, version), { seed: 1 + version, numRuns: VECTORS_PER_VERSION })
      for (const sample of samples) {
        const writer = new Writer()
        codecFor(fields, version, isFlexible(api, version)).encode(writer, sample as never)
        const message = `${api.name}${side === "request" ? "Request" : "Response"}`
        const hex = writer.bytes.subarray(0, writer.position).toHex()
        const value = comparable(sample) as Record<string, unknown>
        // Apache's converter leaves out what a version does not have.
        const there = fields
          .filter((field) => inVersions(field.versions, version))
          .map(({ name }) => [name, value[name]])
        vectors.push({ message, version, hex, value, expected: Object.fromEntries(there) })
      }
    }
  }
}

const input = vectors.map(({ message, version, hex }) => JSON.stringify({ message, version, hex })).join("\n")
const oracle = spawnSync("java", ["-cp", `${process.env.KAFKA_LIBS ?? "."}/*`, ORACLE], { input, encoding: "utf8" })
if (oracle.status !== 0) throw new Error(oracle.stderr)
const answers = oracle.stdout.trim().split("\n")
for (const [index, { message, version, hex, expected }] of vectors.entries()) {
  const answer = JSON.parse(answers[index] ?? "null")
  deepStrictEqual(answer.value, JSON.parse(JSON.stringify(expected)), `${message} ${version}`)
  equal(answer.hex, hex, `${message} ${version}`)
}
const rows = vectors.map(({ message, version, hex, value }) => JSON.stringify({ message, version, hex, value }))
writeFileSync(GOLDEN, `[\n${rows.join(",\n")}\n]\n`)
console.log(`${rows.length} vectors confirmed`)
