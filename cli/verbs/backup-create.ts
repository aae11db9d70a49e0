/**
 * `manifold backup create DIR`: has the running broker make a backup of itself, and waits until it is done. The directory is one of
 * the broker's machine; a relative one begins at the working directory of whoever types it.
 */
import { resolve } from "node:path"
import * as v from "valibot"
import { type Arguments, UsageError } from "../arguments.ts"
import { fail, say } from "../output.ts"
import { outputOf } from "../plugin-facts.ts"
import { CallFailed, Client } from "../resource/client.ts"
import { itemLines } from "../resource/table.ts"
import { readCall } from "../resource/words.ts"
import { rateOf } from "../storage-report.ts"

/** Between two looks at how it goes: short at first. */
const LOOK_MS_MIN = 50
const LOOK_MS_MAX = 2_000
const MIB = 1_048_576

const item = v.looseObject({ id: v.string(), path: v.string(), state: v.string(), error: v.string() })

export async function backupCreate(given: Arguments): Promise<number> {
  const output = outputOf(given)
  const rate = rateOf(given)
  const [directory] = given.operands
  if (directory === undefined) throw new UsageError("backup create needs a directory: manifold backup create DIR")
  const url = given.values.get("--url")
  const client = new Client(
    readCall(url === undefined ? [] : ["backup", "--url", url], process.env["MANIFOLD_URL"]).url
  )
  const input = { path: resolve(directory), ...(Number.isFinite(rate) ? { rate: rate / MIB } : {}) }
  let backup = parse(client, await client.call("POST", "backups", input))
  for (let waitMs = LOOK_MS_MIN; backup.state === "running"; waitMs = Math.min(waitMs * 2, LOOK_MS_MAX)) {
    await new Promise((done) => setTimeout(done, waitMs))
    backup = parse(client, await client.call("GET", `backups/${encodeURIComponent(backup.id)}`))
  }
  if (backup.state !== "done") {
    fail(`${backup.path}: ${backup.error}; what is there is no backup: remove it`)
    return 1
  }
  say(output === "json" ? JSON.stringify(backup, undefined, 2) : itemLines(backup).join("\n"))
  return 0
}

function parse(client: Client, answer: unknown): v.InferOutput<typeof item> {
  const parsed = v.safeParse(item, answer)
  if (parsed.success) return parsed.output
  throw new CallFailed(`what answers at ${client.url} sent no backup`)
}
