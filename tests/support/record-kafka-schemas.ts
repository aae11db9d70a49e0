/**
 * Writes plugins/protocol-kafka/wire/golden/apache-classes.golden.json: bytes of every message at every version together with the value
 * that Apache's own classes read out of them, and which they write as the same bytes; of versions that those do not know any more, and of
 * messages with records, which their JSON leaves out, as kafka-python does, whose codec is made from Apache's own message descriptions. A
 * wrong field, version, tag or default in our table shows as a difference here, and nothing is written.
 *
 * Run by hand after the table changed: `KAFKA_LIBS=<folder of Apache Kafka's jars> bun tests/support/record-kafka-schemas.ts` (with .venv
 * as tests/support/requirements.txt says); the tests read the file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { APIS } from "../../plugins/protocol-kafka/wire/apis.ts"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import type { Fields } from "../../plugins/protocol-kafka/wire/schema.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"
import { readWithJava } from "./kafka-java-oracle.ts"
import { type OracleAnswer, type OracleQuestion, readWithKafkaPython } from "./kafka-oracle.ts"

const VECTORS_PER_VERSION = 2
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/apache-classes.golden.json", import.meta.url)

const vectors: Array<OracleQuestion & OracleAnswer & { readonly fields: Fields }> = []
for (const api of APIS) {
  for (let version = api.versionMin; version <= api.versionMax; version++) {
    for (const side of ["request", "response"] as const) {
      const fields = api[side]
      const seed = 1_000 * api.key + version
      for (const sample of fc.sample(messageArbitrary(fields, version), { seed, numRuns: VECTORS_PER_VERSION })) {
        const writer = new Writer()
        codecFor(fields, version, isFlexible(api, version)).encode(writer, sample as never)
        const message = `${api.name}${side === "request" ? "Request" : "Response"}`
        const hex = writer.bytes.subarray(0, writer.position).toHex()
        vectors.push({ message, version, hex, value: comparable(sample), fields })
      }
    }
  }
}

const hasRecords = (fields: Fields): boolean => JSON.stringify(fields).includes('"type":"records"')
const ofApache = new Map(readWithJava(vectors).map((answer, index) => [vectors[index], answer]))
const others = vectors.filter((vector) => hasRecords(vector.fields) || ofApache.get(vector) === undefined)
const ofOthers = new Map(readWithKafkaPython(others).map((answer, index) => [others[index], answer]))
const lines = vectors.map((vector) => {
  const { message, version, hex, value } = vector
  const where = `${message} ${version}`
  const answer = ofOthers.get(vector) ?? ofApache.get(vector)
  deepStrictEqual(answer?.value, value, where)
  equal(answer?.hex, hex, where)
  equal(ofApache.get(vector)?.hex ?? hex, hex, where)
  return JSON.stringify({ message, version, hex, value })
})
writeFileSync(GOLDEN, `[\n${lines.join(",\n")}\n]\n`)
console.log(`${lines.length} vectors confirmed, ${others.length} by kafka-python`)
