import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { brokersOf } from "../all.ts"
import { reasonOf, runSteps } from "./install.ts"
import { dependenciesOf, PACKAGES } from "./packages.ts"

test("what a Debian package depends on is read without alternatives and suggestions", () => {
  const said =
    "mosquitto\n  Depends: libc6\n  Depends: lsb-base\n    sysvinit-utils\n  Suggests: apparmor\n  Depends: libssl3\n"
  assert.deepEqual(dependenciesOf(said), ["libc6", "lsb-base", "libssl3"])
})

test("a step that fails says its command and its last words, and ends the rest", () => {
  const folder = mkdtempSync(join(tmpdir(), "manifold-bench-test-"))
  try {
    const script = (text: string) => ({ command: [process.execPath, "-e", text], folder })
    assert.equal(runSteps([script("process.exit(0)")]), undefined)
    const reason = runSteps([script('console.error("one\\ntwo"); process.exit(3)'), script("throw new Error('ran')")])
    assert.match(reason ?? "", /one \| two$/)
    assert.match(runSteps([{ command: ["there-is-no-such-program"], folder }]) ?? "", /there-is-no-such-program/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test("only the end of a long output is the reason", () => {
  assert.equal(reasonOf("a\nb\n\n c \nd\n"), "b | c | d")
  assert.equal(reasonOf("\n"), "it failed without a word")
})

test("every broker has a name of its own, says what a PUBACK promises and shows its settings", () => {
  const brokers = brokersOf("source")
  assert.equal(new Set(brokers.map(({ name }) => name)).size, brokers.length)
  for (const broker of brokers) {
    assert.ok(broker.promise.length > 10, broker.name)
    assert.ok(broker.name === "floor" || broker.settings().length > 0, `${broker.name} shows its settings`)
  }
})

test("every package has an exact version and a client that installs it", () => {
  for (const { name, version, needs } of PACKAGES) {
    assert.ok(/^\d+\.\d+\.\d+$/.test(version) || name === "mosquitto", name)
    assert.ok(["apt-get", "cargo", "go", "npm"].includes(needs), name)
  }
})
