/**
 * A second opinion on Kafka messages: kafka-python, which makes its codec from Apache's own message descriptions. Its names and its
 * few peculiarities (bit fields as sets, absent structs and UUIDs as None) are translated to those of our table.
 */
import { spawnSync } from "node:child_process"

/** Reads JSON lines {message, version, hex}; answers each with {value, hex}: what it decoded and how it encodes that again. */
const ORACLE = `
import importlib, json, sys, uuid
from kafka.protocol.api_message import ApiMessage
def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
def name_of(field, value):
    if field.name != "authorized_operations": return camel(field.name)
    return "clusterAuthorizedOperations" if hasattr(value, "brokers") else "topicAuthorizedOperations"
def plain(value):
    if value is None or isinstance(value, (bool, int, float, str)): return value
    if isinstance(value, uuid.UUID): return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)): return bytes(value).hex()
    if isinstance(value, (list, tuple)): return [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        bits = sum(1 << bit for bit in value)
        return bits - (1 << 32) if bits >> 31 else bits
    return {name_of(field, value): part(field, getattr(value, field.name)) for field in value._struct._fields if field._json["versions"] != "0"}
def part(field, value):
    if value is None and field.is_struct(): return {camel(inner.name): part(inner, inner.default) for inner in field._fields}
    if value is None and field.name.endswith("authorized_operations"): return -(1 << 31)
    if value is None and field._json["type"] == "uuid": return str(uuid.UUID(int=0))
    return plain(value)
modules = [importlib.import_module("kafka.protocol." + name) for name in ("producer", "consumer", "metadata")]
for line in sys.stdin:
    row = json.loads(line)
    message = next(getattr(module, row["message"]) for module in modules if hasattr(module, row["message"]))
    decoded = ApiMessage.decode.__func__(message, bytes.fromhex(row["hex"]), version=row["version"])
    decoded._header = None
    print(json.dumps({"value": plain(decoded), "hex": decoded.encode(version=row["version"]).hex()}))
`

/** One message to read: Apache's name of it ("FetchRequest"), its version, its body without any header. */
export interface OracleQuestion {
  readonly message: string
  readonly version: number
  readonly hex: string
}
export interface OracleAnswer {
  readonly value: unknown
  /** The value encoded again. */
  readonly hex: string
}

/** What kafka-python reads out of each message. Throws where it refuses one. */
export function readWithKafkaPython(questions: ReadonlyArray<OracleQuestion>): ReadonlyArray<OracleAnswer> {
  const input = questions.map(({ message, version, hex }) => JSON.stringify({ message, version, hex })).join("\n")
  const oracle = spawnSync(".venv/bin/python", ["-c", ORACLE], { input, encoding: "utf8", maxBuffer: 2 ** 28 })
  if (oracle.status !== 0) throw new Error(oracle.stderr)
  return oracle.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as OracleAnswer)
}
