/**
 * Writes plugins/protocol-kafka/wire/golden/apache-schemas.golden.json: bytes of every Kafka message at every version together with
 * the value that kafka-python reads out of them. kafka-python makes its codec from Apache's own message descriptions, so a wrong
 * field, version, tag or default in our table shows as a difference here, and nothing is written.
 *
 * Run by hand after the table changed: `bun tests/support/record-kafka-vectors.ts` (with .venv as tests/support/requirements.txt says); the tests read the file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { APIS } from "../../plugins/protocol-kafka/wire/apis.ts"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"
import { readWithKafkaPython } from "./kafka-oracle.ts"

const VECTORS_PER_VERSION = 2
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/apache-schemas.golden.json", import.meta.url)

interface Vector {
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly value: unknown
}

const vectors: Array<Vector> = []
for (const api of APIS) {
  for (let version = api.versionMin; version <= api.versionMax; version++) {
    for (const side of ["request", "response"] as const) {
      const fields = api[side]
      const samples = fc.sample(messageArbitrary(fields, version), { seed: 1 + version, numRuns: VECTORS_PER_VERSION })
      for (const sample of samples) {
        const writer = new Writer()
        codecFor(fields, version, isFlexible(api, version)).encode(writer, sample as never)
        const message = `${api.name}${side === "request" ? "Request" : "Response"}`
        const hex = writer.bytes.subarray(0, writer.position).toHex()
        vectors.push({ message, version, hex, value: comparable(sample) })
      }
    }
  }
}

const answers = readWithKafkaPython(vectors)
const confirmed = vectors.map((vector, index): Vector => {
  const answer = answers[index]
  if (answer === undefined) throw new Error("no answer")
  const where = `${vector.message} ${vector.version}`
  deepStrictEqual(answer.value, vector.value, where)
  equal(answer.hex, vector.hex, where)
  return { ...vector, value: answer.value }
})
writeFileSync(GOLDEN, `[\n${confirmed.map((vector) => JSON.stringify(vector)).join(",\n")}\n]\n`)
console.log(`${confirmed.length} vectors confirmed`)
