import assert from "node:assert"
import { test } from "node:test"
import * as v from "valibot"
import { addressList } from "./address-list.ts"
import { formatFault } from "./faults.ts"
import { environmentOverrides, mistakenVariables, putSetting, readValue, setOverride } from "./overrides.ts"

test("environment variables name a section and a key", () => {
  const sections = ["node", "topics", "protocol-mqtt"]
  const variables = {
    MANIFOLD_NODE__DATA: "/data",
    MANIFOLD_PROTOCOL_MQTT__TCP: "127.0.0.1:0",
    MANIFOLD_TOPICS__AUTO_CREATE_MQTT: "off",
    MANIFOLD_TEST_COMMAND: "none of ours",
    OTHER_NODE__DATA: "none of ours",
    manifold_node__id: "none of ours"
  }
  assert.deepEqual(
    environmentOverrides(variables, sections).map(({ section, keys, text, source }) => [
      section,
      keys.join("."),
      text,
      source
    ]),
    [
      ["node", "data", "/data", "MANIFOLD_NODE__DATA"],
      ["protocol-mqtt", "tcp", "127.0.0.1:0", "MANIFOLD_PROTOCOL_MQTT__TCP"],
      ["topics", "auto_create_mqtt", "off", "MANIFOLD_TOPICS__AUTO_CREATE_MQTT"]
    ]
  )
})

test("--set has a section, a key and a value, which may hold anything", () => {
  const read = (argument: string): ReadonlyArray<string> | undefined => {
    const found = setOverride(argument)
    return found === undefined ? undefined : [found.section, found.keys.join("."), found.text]
  }
  assert.deepEqual(read("node.data=/a=b.c"), ["node", "data", "/a=b.c"])
  assert.deepEqual(read("protocol-mqtt.websocket="), ["protocol-mqtt", "websocket", ""])
  assert.deepEqual(read("node.id=two\nlines"), ["node", "id", "two\nlines"])
  assert.deepEqual(read("mine.tls.port=1"), ["mine", "tls.port", "1"])
  assert.equal(read(`mine${".x".repeat(9)}=1`), undefined)
  for (const wrong of ["", "=", "node", "node=1", "node.id", ".id=1", "node.=1", "a..b=1", "a.b.=1"]) {
    assert.equal(read(wrong), undefined, wrong)
  }
})

const rows: ReadonlyArray<readonly [string, string, v.GenericSchema, unknown]> = [
  ["a number", "12", v.number(), 12],
  ["a negative number", "-1.5", v.number(), -1.5],
  ["a number where a text is asked for", "12", v.string(), "12"],
  ["true", "true", v.optional(v.boolean(), false), true],
  ["true where a text is asked for", "true", v.string(), "true"],
  ["an address", "127.0.0.1:0", addressList, "127.0.0.1:0"],
  ["addresses", "127.0.0.1:0, [::1]:0", addressList, ["127.0.0.1:0", "[::1]:0"]],
  ["nothing where a list is asked for", "", addressList, []],
  ["numbers", "1,2", v.array(v.number()), [1, 2]],
  ["a comma where a text is asked for", "a,b", v.string(), "a,b"],
  ["a number where both are accepted", "12", v.union([v.string(), v.number()]), 12],
  ["a number out of range stays one", "0", v.pipe(v.number(), v.minValue(1)), 0],
  ["what fits nothing stays what was written", "many", v.number(), "many"]
]
for (const [name, text, schema, expected] of rows) {
  test(`a value: ${name}`, () => assert.deepEqual(readValue(text, schema), expected))
}

test("a value of an unknown key stays a text", () => assert.equal(readValue("1", undefined), "1"))

test("addresses", () => {
  const right = ["127.0.0.1:1883", "[::1]:1883", "localhost:0", "example.org:65535", "[::ffff:10.0.0.1]:1"]
  for (const text of right) assert.deepEqual(v.parse(addressList, text), [text])
  const wrong = ["127.0.0.1", ":1883", "::1:1883", "[::1]", "a:b", "a:70000", "a:", "", " a:1", "a b:1", "[zz]:1"]
  for (const text of wrong) assert.equal(v.is(addressList, text), false, text)
  assert.equal(v.is(addressList, ["127.0.0.1:1", "nonsense"]), false)
  assert.deepEqual(v.parse(addressList, []), [])
})

const tls = v.strictObject({ port: v.optional(v.number()), maxSize: v.optional(v.number()) })
const table = v.strictObject({
  tls: v.optional(tls, {}),
  names: v.optional(v.array(v.string())),
  rules: v.optional(v.array(tls), [])
})
const put = (setting: string): ReturnType<typeof putSetting> => {
  const override = setOverride(`mine.${setting}`)
  assert.ok(override !== undefined)
  return putSetting({ names: ["file"], tls: { port: 1 } }, table, override)
}

test("a setting is put into a copy, through the tables that it names", () => {
  const before = { names: ["file"], tls: { port: 1 } }
  assert.deepEqual(put("names=a, b"), { table: { ...before, names: ["a", "b"] }, path: ["names"] })
  assert.deepEqual(put("tls.maxSize=5"), {
    table: { ...before, tls: { port: 1, maxSize: 5 } },
    path: ["tls", "maxSize"]
  })
  assert.deepEqual(put("names.x=1"), { table: { ...before, names: { x: "1" } }, path: ["names", "x"] })
  assert.deepEqual(put("other.deep=1"), { table: { ...before, other: { deep: "1" } }, path: ["other", "deep"] })
  const [variable] = environmentOverrides({ MANIFOLD_MINE__TLS__MAXSIZE: "7" }, ["mine"])
  assert.ok(variable !== undefined)
  assert.deepEqual(putSetting({}, table, variable), { table: { tls: { maxSize: 7 } }, path: ["tls", "maxSize"] })
})

test("a table and a list of tables are not one value", () => {
  assert.match(JSON.stringify(put("rules=a")), /refusal.*list of tables cannot be written in one line/)
  assert.match(JSON.stringify(put("tls=a")), /refusal.*--set mine\.tls\.KEY, where KEY is one of port, maxSize/)
})

test("a variable that is nearly a setting is told; what belongs to others is not", () => {
  const sections = new Map<string, unknown>([
    ["node", v.strictObject({ data: v.string(), shards: v.number() })],
    ["protocol-mqtt", v.strictObject({ tcp: addressList, receive_maximum: v.number() })]
  ])
  const told = (name: string): string | undefined => {
    const [fault, ...more] = mistakenVariables({ [name]: "x" }, sections)
    assert.equal(more.length, 0)
    return fault === undefined ? undefined : formatFault(fault)
  }
  const allowed = "allowed: MANIFOLD_SECTION__KEY, in capitals, with two underscores between them; did you mean"
  assert.equal(
    told("MANIFOLD_NODE_DATA"),
    `environment: MANIFOLD_NODE_DATA: found unknown "MANIFOLD_NODE_DATA"; ${allowed} "MANIFOLD_NODE__DATA"?`
  )
  assert.match(told("MANIFOLD_NODE_SHARD") ?? "", /did you mean "MANIFOLD_NODE__SHARDS"\?$/)
  assert.match(told("MANIFOLD_DATA") ?? "", /did you mean "MANIFOLD_NODE__DATA"\?$/)
  assert.match(told("MANIFOLD_PROTOCOL_MQTT_TCP") ?? "", /did you mean "MANIFOLD_PROTOCOL_MQTT__TCP"\?$/)
  assert.match(told("MANIFOLD_node__data") ?? "", /did you mean "MANIFOLD_NODE__DATA"\?$/)
  assert.match(told("MANIFOLD_NODE__") ?? "", /unknown "MANIFOLD_NODE__"/)
  assert.match(told("MANIFOLD_NODE_X") ?? "", /unknown "MANIFOLD_NODE_X"/)
  for (const name of [
    "MANIFOLD_URL",
    "MANIFOLD_TCP",
    "MANIFOLD_TEST_COMMAND",
    "MANIFOLD_NODE__DATA",
    "NODE_DATA",
    // What Kubernetes sets for the Services "manifold", "manifold-node" and "manifold-protocol-mqtt".
    "MANIFOLD_SERVICE_HOST",
    "MANIFOLD_NODE_SERVICE_HOST",
    "MANIFOLD_NODE_SERVICE_PORT",
    "MANIFOLD_NODE_SERVICE_PORT_MQTT",
    "MANIFOLD_PROTOCOL_MQTT_PORT",
    "MANIFOLD_PROTOCOL_MQTT_PORT_1883_TCP",
    "MANIFOLD_PROTOCOL_MQTT_PORT_1883_TCP_ADDR"
  ]) {
    assert.equal(told(name), undefined, name)
  }
})
