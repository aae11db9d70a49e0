import assert from "node:assert"
import { test } from "node:test"
import * as v from "valibot"
import { addressList } from "./address-list.ts"
import { environmentOverrides, readValue, setOverride } from "./overrides.ts"

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
    environmentOverrides(variables, sections).map(({ section, key, text, source }) => [section, key, text, source]),
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
    return found === undefined ? undefined : [found.section, found.key, found.text]
  }
  assert.deepEqual(read("node.data=/a=b.c"), ["node", "data", "/a=b.c"])
  assert.deepEqual(read("protocol-mqtt.websocket="), ["protocol-mqtt", "websocket", ""])
  assert.deepEqual(read("node.id=two\nlines"), ["node", "id", "two\nlines"])
  for (const wrong of ["", "=", "node", "node=1", "node.id", ".id=1", "node.=1", "a.b.c=1"]) {
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
