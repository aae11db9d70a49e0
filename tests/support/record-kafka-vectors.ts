/**
 * Writes plugins/protocol-kafka/wire/golden/apache-schemas.golden.json: bytes of every Kafka message at every version together with
 * the value that kafka-python reads out of them. kafka-python makes its codec from Apache's own message descriptions, so a wrong
 * field, version, tag or default in our table shows as a difference here, and nothing is written.
 *
 * Run by hand after the table changed: `bun tests/support/record-kafka-vectors.ts [python]`; the tests read the file alone.
 */
import { deepStrictEqual, equal } from "node:assert"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import fc from "fast-check"
import { APIS } from "../../plugins/protocol-kafka/wire/apis.ts"
import { codecFor, isFlexible } from "../../plugins/protocol-kafka/wire/codec.ts"
import { comparable, messageArbitrary } from "../../plugins/protocol-kafka/wire/message-arbitrary.ts"
import { Writer } from "../../plugins/protocol-kafka/wire/writer.ts"

const VECTORS_PER_VERSION = 2
const GOLDEN = new URL("../../plugins/protocol-kafka/wire/golden/apache-schemas.golden.json", import.meta.url)

/** Reads JSON lines {message, version, hex}; answers each with {value, hex}: what it decoded and how it encodes that again. */
const ORACLE = `
import importlib, json, sys, uuid
from kafka.protocol.api_message import ApiMessage
def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
def plain(value):
    if value is None or isinstance(value, (bool, int, float, str)): return value
    if isinstance(value, uuid.UUID): return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)): return bytes(value).hex()
    if isinstance(value, (list, tuple)): return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        bits = sum(1 << bit for bit in value)
        return bits - (1 << 32) if bits >> 31 else bits
    return {camel(field.name): part(field, getattr(value, field.name)) for field in value._struct._fields}
def part(field, value):
    if value is None and field.is_struct(): return {camel(inner.name): part(inner, inner.default) for inner in field._fields}
    if value is None and field.name.endswith("authorized_operations"): return -(1 << 31)
    return plain(value)
modules = [importlib.import_module("kafka.protocol." + name) for name in ("producer", "consumer", "metadata")]
for line in sys.stdin:
    row = json.loads(line)
    message = next(getattr(module, row["message"]) for module in modules if hasattr(module, row["message"]))
    decoded = ApiMessage.decode.__func__(message, bytes.fromhex(row["hex"]), version=row["version"])
    decoded._header = None
    print(json.dumps({"value": plain(decoded), "hex": decoded.encode(version=row["version"]).hex()}))
`

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

const asked = vectors.map(({ message, version, hex }) => JSON.stringify({ message, version, hex })).join("\n")
const oracle = spawnSync(process.argv[2] ?? ".venv/bin/python", ["-c", ORACLE], {
  input: asked,
  encoding: "utf8",
  maxBuffer: 2 ** 28
})
if (oracle.status !== 0) throw new Error(oracle.stderr)
const answers = oracle.stdout.trim().split("\n")
equal(answers.length, vectors.length)
const confirmed = vectors.map((vector, index): Vector => {
  const answer = JSON.parse(answers[index] ?? "") as { value: unknown; hex: string }
  const where = `${vector.message} ${vector.version}`
  deepStrictEqual(answer.value, vector.value, where)
  equal(answer.hex, vector.hex, where)
  return { ...vector, value: answer.value }
})
writeFileSync(GOLDEN, `[\n${confirmed.map((vector) => JSON.stringify(vector)).join(",\n")}\n]\n`)
console.log(`${confirmed.length} vectors confirmed`)
