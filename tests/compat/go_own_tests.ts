/**
 * The tests that the Go client has of itself, against the broker: argument 1 is the program that `go test -c` made of them. Those whose names
 * begin with Test_ are run, all that need a broker among them. They expect port 1883, so a loopback address of their own passes on to
 * the broker's.
 */

import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const [program = ""] = process.argv.slice(2)
const [host, port] = (process.env.MANIFOLD_MQTT ?? "").split(":")
const address = `127.${100 + (process.pid % 100)}.${Math.floor(process.pid / 250) % 250}.${(process.pid % 250) + 1}`

const server = createServer((socket) => {
  const other = connect(Number(port), host)
  const pairs = [
    [socket, other],
    [other, socket]
  ] as const
  for (const [from, to] of pairs) {
    from.on("error", () => to.destroy())
    from.on("close", () => to.destroy())
    from.pipe(to)
  }
})
await new Promise<void>((done, fail) => {
  server.once("error", fail)
  server.listen(1883, address, done)
})
// Some leave files where they are run.
const folder = mkdtempSync(join(tmpdir(), "manifold-go-tests-"))
// Left out is one that only waits, 8 s, for a keep alive of one second: our own suite of this client has such a case.
const args = ["-test.v", "-test.run=^Test_", "-test.skip=^Test_ping1_idle5$", "-test.timeout=55s"]
const child = spawn(program, args, {
  cwd: folder,
  env: { ...process.env, TEST_FVT_ADDR: address },
  stdio: ["ignore", "pipe", "inherit"]
})
let text = ""
child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
  text += chunk
})
await new Promise((done) => child.once("close", done))
rmSync(folder, { recursive: true, force: true })

const begun = [...text.matchAll(/^=== RUN {3}(Test_\w+)$/gm)].map(([, name]) => String(name))
for (const name of begun) {
  const passed = new RegExp(`^--- PASS: ${name} `, "m").test(text)
  console.log(passed ? `ok ${name}` : `not ok ${name}: ${reasonOf(name)}`)
}
console.log(`done ${begun.length}`)
process.exit(0)

/** What it said before its verdict, or that it did not end. */
function reasonOf(name: string): string {
  const from = text.indexOf(`=== RUN   ${name}\n`)
  const to = text.indexOf(`--- FAIL: ${name} `)
  return to < 0
    ? "it did not end"
    : text
        .slice(from, to + 400)
        .split("\n")
        .slice(-6)
        .join(" | ")
}
