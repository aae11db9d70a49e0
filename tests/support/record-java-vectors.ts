/**
 * Writes plugins/protocol-kafka/wire/golden/java-classes.golden.json: bytes of the messages of Kafka's administration at every version
 * together with the value that Kafka's own Java classes read out of them. A wrong field, version, tag or default in our table shows as a
 * difference here, and nothing is written.
 *
 * Run by hand after the table changed, with the jars of Apache Kafka 4.3 in a directory: `bun tests/support/record-java-vectors.ts JARS`;
 * the tests read the file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { APIS } from "../../plugins/protocol-kafka/wire/apis.ts"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"

const KEYS: ReadonlySet<number> = new Set([19, 20, 21, 32, 33, 35, 37, 43, 44, 46, 48, 49, 50, 60, 74, 75])
const VECTORS_PER_VERSION = 2
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/java-classes.golden.json", import.meta.url)

interface Vector {
  readonly message: string
  readonly version: number
  readonly hex: string
  readonly value: unknown
}

const [jars] = process.argv.slice(2)
if (jars === undefined) throw new Error("say where the jars of Apache Kafka are")
const vectors: Array<Vector> = []
for (const api of APIS.filter(({ key }) => KEYS.has(key))) {
  for (let version = api.versionMin; version <= api.versionMax; version++) {
    for (const side of ["request", "response"] as const) {
      const fields = api[side]
      const seed = 1_000 * api.key + version
      for (const sample of fc.sample(messageArbitrary(fields, version), { seed, numRuns: VECTORS_PER_VERSION })) {
        const writer = new Writer()
        codecFor(fields, version, isFlexible(api, version)).encode(writer, sample as never)
        const message = `${api.name}${side === "request" ? "Request" : "Response"}`
        const hex = writer.bytes.subarray(0, writer.position).toHex()
        vectors.push({ message, version, hex, value: comparable(sample) })
      }
    }
  }
}

const input = vectors.map(({ message, version, hex }) => JSON.stringify({ message, version, hex })).join("\n")
const java = spawnSync("java", ["-cp", `${jars}/*`, "tests/support/KafkaMessages.java"], {
  input,
  encoding: "utf8",
  maxBuffer: 2 ** 28
})
if (java.status !== 0) throw new Error(java.stderr)
const answers = java.stdout.trim().split("\n")
equal(answers.length, vectors.length)
vectors.forEach(({ message, version, hex, value }, index) => {
  const where = `${message} ${version}`
  const answer = JSON.parse(answers[index] ?? "") as { readonly value: unknown; readonly hex: string }
  deepStrictEqual(answer.value, JSON.parse(JSON.stringify(value)), where)
  equal(answer.hex, hex, where)
})
writeFileSync(GOLDEN, `[\n${vectors.map((vector) => JSON.stringify(vector)).join(",\n")}\n]\n`)
console.log(`${vectors.length} vectors confirmed`)
