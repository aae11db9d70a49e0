import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import {
  type Arguments,
  type Flag,
  readArguments as read,
  startsWithVerb,
  UsageError,
  type VerbForm
} from "./arguments.ts"

const verbs: ReadonlyArray<VerbForm> = [
  { name: "start", flags: ["--config", "--data", "--set", "--insecure"] },
  { name: "check-config", flags: ["--config", "--data", "--set"] },
  { name: "plugin list", flags: ["--config"] },
  { name: "plugin check", flags: ["--config"], operandsMax: 1 },
  { name: "version", flags: [] },
  { name: "help", flags: [] }
]
const readArguments = (words: ReadonlyArray<string>): Arguments => read(words, verbs)
const none = { config: undefined, sets: [], switches: new Set<Flag>(), values: new Map(), operands: [] }

const rows: ReadonlyArray<readonly [string, Arguments]> = [
  ["", { ...none, verb: "help" }],
  ["help", { ...none, verb: "help" }],
  ["-h", { ...none, verb: "help" }],
  ["start --help", { ...none, verb: "help" }],
  ["version", { ...none, verb: "version" }],
  ["--version", { ...none, verb: "version" }],
  ["start", { ...none, verb: "start" }],
  ["start --config a.toml", { ...none, verb: "start", config: "a.toml" }],
  ["start --config=a.toml --config b.toml", { ...none, verb: "start", config: "b.toml" }],
  ["start --set a.b=c --set=d.e=f=g", { ...none, verb: "start", sets: ["a.b=c", "d.e=f=g"] }],
  ["start --set node.data=a --data b", { ...none, verb: "start", sets: ["node.data=a", "node.data=b"] }],
  ["start --data b --set node.data=a", { ...none, verb: "start", sets: ["node.data=b", "node.data=a"] }],
  ["start --insecure", { ...none, verb: "start", switches: new Set<Flag>(["--insecure"]) }],
  ["plugin list --config a", { ...none, verb: "plugin list", config: "a" }],
  ["plugin check one --config a", { ...none, verb: "plugin check", config: "a", operands: ["one"] }],
  ["plugin list -h", { ...none, verb: "help" }],
  ["check-config --config a.toml --set a.b=", { ...none, verb: "check-config", config: "a.toml", sets: ["a.b="] }]
]
for (const [line, expected] of rows) {
  test(`manifold ${line}`, () => {
    assert.deepEqual(readArguments(line.split(" ").filter((word) => word !== "")), expected)
  })
}

const refused: ReadonlyArray<readonly [string, string]> = [
  [
    "strat",
    'unknown verb "strat"; known: start, check-config, plugin list, plugin check, version, help; did you mean "start"?'
  ],
  ["check", 'unknown verb "check"; known: start, check-config, plugin list, plugin check, version, help'],
  [
    "start --confg a",
    'unknown argument of start "--confg"; known: --config, --data, --set, --insecure; did you mean "--config"?'
  ],
  ["start a.toml", 'unknown argument of start "a.toml"; known: --config, --data, --set, --insecure'],
  ["check-config --insecure", 'unknown argument of check-config "--insecure"; known: --config, --data, --set'],
  ["version --config", 'unknown argument of version "--config"; known: none'],
  ["plugin", 'unknown verb of plugin ""; known: list, check'],
  ["plugin lst", 'unknown verb of plugin "lst"; known: list, check; did you mean "list"?'],
  ["plugin list one", 'unknown argument of plugin list "one"; known: --config'],
  ["plugin check one two", 'unknown argument of plugin check "two"; known: --config'],
  ["start --config", "--config needs a value: --config manifold.toml"],
  ["start --set", "--set needs a value: --set protocol-mqtt.tcp=127.0.0.1:1883"],
  ["start --data=", "--data needs a value: --data ./data"],
  ["start --insecure=yes", "--insecure takes no value"]
]
for (const [line, message] of refused) {
  test(`refused: manifold ${line}`, () => {
    assert.throws(() => readArguments(line.split(" ")), { name: "UsageError", message })
  })
}

test("any words are arguments or a usage error of one line", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "start",
      "plugin",
      "list",
      "check",
      "--set",
      "--config",
      "--data",
      "--insecure",
      "--set=a.b=c",
      "-h"
    ),
    fc.string()
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      try {
        readArguments(words)
      } catch (error) {
        assert.ok(error instanceof UsageError)
      }
    })
  )
})

test("a first word that is a resource's, too, is the command's only with the second word of a verb", () => {
  const forms: ReadonlyArray<VerbForm> = [...verbs, { name: "backup restore", flags: ["--data"], sharesResource: true }]
  const own = ["", "-h", "start", "plugin", "plugin lsit", "backup restore"]
  const others = ["backup", "backup list", "backup --help", "topic list", "backups"]
  for (const line of own) assert.ok(startsWithVerb(line === "" ? [] : line.split(" "), forms), line)
  for (const line of others) assert.ok(!startsWithVerb(line.split(" "), forms), line)
})
