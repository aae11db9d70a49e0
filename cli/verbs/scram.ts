/**
 * `manifold scram USER`: reads a password from stdin, one line, and prints what `scram_credentials` of protocol-mqtt takes for it.
 * The password itself is written nowhere.
 */
import { readFileSync } from "node:fs"
import { makeScramCredential, prepareScramText } from "../../core/access/Scram.ts"
import { systemRandom } from "../../core/platform/system.ts"
import { type Arguments, UsageError } from "../arguments.ts"
import { fail, note, say } from "../output.ts"

const STDIN = 0
const SALT_BYTES = 16
/** More than the 4,096 that RFC 7677 asks for at least: some ten milliseconds here, once a login for the client. */
const ITERATIONS = 16_384

export async function scram(given: Arguments): Promise<number> {
  const [user] = given.operands
  if (user === undefined || user === "")
    throw new UsageError("scram needs a user: manifold scram USER, the password on stdin")
  if (process.stdin.isTTY) note(`password of ${user}, it is shown while you type; end with Enter and Ctrl-D:`)
  const [password = ""] = readFileSync(STDIN, "utf8").split(/\r?\n/)
  const name = prepareScramText(user)
  const salt = new Uint8Array(SALT_BYTES)
  systemRandom.fill(salt, 0, salt.length)
  const credential = makeScramCredential(password, salt, ITERATIONS)
  if (name === undefined || credential === undefined) {
    const what =
      name === undefined ? "the user's name" : password === "" ? "no password on stdin, or it" : "the password"
    fail(`${what} is empty, or has characters that no client can send`)
    return 1
  }
  say(`${name}:${credential}`)
  return 0
}
