/**
 * A second opinion on Kafka messages: the classes of Apache's own Java client (KafkaOracle.java). Their JSON has bytes and UUIDs in
 * base 64 and leaves out what a version lacks; here it becomes what our table calls the same value.
 *
 * KAFKA_LIBS names a folder with the jars of Apache Kafka.
 */
import { spawnSync } from "node:child_process"
import { type Field, type Fields, type FieldType, inVersions } from "../../plugins/protocol-kafka/wire/schema.ts"
import type { OracleAnswer, OracleQuestion } from "./kafka-oracle.ts"

/**
 * What Apache's classes read out of each message, told with the fields of our table; undefined where a version is older than those they know.
 * Throws where they refuse one.
 */
export function readWithJava(
  questions: ReadonlyArray<OracleQuestion & { readonly fields: Fields }>
): ReadonlyArray<OracleAnswer | undefined> {
  const libraries = process.env.KAFKA_LIBS
  if (libraries === undefined) throw new Error("KAFKA_LIBS is not set")
  const source = new URL("KafkaOracle.java", import.meta.url).pathname
  const input = questions.map(({ message, version, hex }) => JSON.stringify({ message, version, hex })).join("\n")
  const oracle = spawnSync("java", ["-cp", `${libraries}/*`, source], { input, encoding: "utf8", maxBuffer: 2 ** 28 })
  if (oracle.status !== 0) throw new Error(oracle.stderr)
  return oracle.stdout
    .trim()
    .split("\n")
    .map((line, index) => {
      const answer = JSON.parse(line) as OracleAnswer | null
      const question = questions[index]
      if (question === undefined) throw new Error("more answers than questions")
      if (answer === null) return undefined
      const { value, hex } = answer
      return { value: structOf(value, question.fields, question.version), hex }
    })
}

type Struct = Readonly<Record<string, unknown>>

/** Fails where there is a member that our table does not have in this version. */
function structOf(value: unknown, fields: Fields, version: number): unknown {
  const given = value as Struct
  const own = fields.filter((field) => inVersions(field.versions, version))
  const strangers = Object.keys(given).filter((name) => !own.some((field) => field.name === name))
  if (strangers.length > 0) throw new Error(`unknown in version ${version}: ${strangers.join(", ")}`)
  return Object.fromEntries(
    fields.map((field) => {
      const found = given[field.name]
      return [field.name, found === undefined ? absent(field) : plainOf(found, field.type, version)]
    })
  )
}

function plainOf(value: unknown, type: FieldType, version: number): unknown {
  if (value === null) return null
  if (typeof type !== "string") {
    if ("struct" in type) return structOf(value, type.struct, version)
    return (value as ReadonlyArray<unknown>).map((one) =>
      typeof type.array === "string" ? plainOf(one, type.array, version) : structOf(one, type.array.struct, version)
    )
  }
  if (type === "bytes") return Buffer.from(value as string, "base64").toString("hex")
  if (type !== "uuid") return value
  const hex = Buffer.from(value as string, "base64url").toString("hex")
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

function absent({ type, default: initial }: Field): unknown {
  if (initial !== undefined) return initial
  if (typeof type !== "string") {
    return "array" in type ? [] : Object.fromEntries(type.struct.map((field) => [field.name, absent(field)]))
  }
  if (type === "uuid") return "00000000-0000-0000-0000-000000000000"
  return type === "bool" ? false : type === "string" || type === "bytes" ? "" : 0
}
