/**
 * Writes plugins/protocol-kafka/wire/golden/group-schemas.golden.json: bytes of every message of consumer groups at every version,
 * together with the value that Apache's own classes read out of them. A wrong field, version or default in our table shows as a
 * difference here, and nothing is written.
 *
 * Run by hand after the table changed: `KAFKA_LIBS=<folder of jars> bun tests/support/record-group-vectors.ts`; the tests read the
 * file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { GROUP_APIS } from "../../plugins/protocol-kafka/wire/group-apis.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"
import { readWithJava } from "./kafka-java-oracle.ts"

const VECTORS_PER_VERSION = 2
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/group-schemas.golden.json", import.meta.url)

const vectors = GROUP_APIS.flatMap((api) =>
  Array.from({ length: api.versionMax - api.versionMin + 1 }, (_, index) => api.versionMin + index).flatMap((version) =>
    (["request", "response"] as const).flatMap((side) => {
      const fields = api[side]
      const samples = fc.sample(messageArbitrary(fields, version), { seed: 1 + version, numRuns: VECTORS_PER_VERSION })
      return samples.map((sample) => {
        const writer = new Writer()
        codecFor(fields, version, isFlexible(api, version)).encode(writer, sample as never)
        const message = `${api.name}${side === "request" ? "Request" : "Response"}`
        return {
          message,
          version,
          hex: writer.bytes.subarray(0, writer.position).toHex(),
          value: comparable(sample),
          fields
        }
      })
    })
  )
)
const answers = readWithJava(vectors)
const lines = vectors.map(({ message, version, hex, value }, index) => {
  const where = `${message} ${version}`
  deepStrictEqual(answers[index]?.value, value, where)
  equal(answers[index]?.hex, hex, where)
  return JSON.stringify({ message, version, hex, value: answers[index]?.value })
})
writeFileSync(GOLDEN, `[\n${lines.join(",\n")}\n]\n`)
console.log(`${lines.length} vectors confirmed`)
