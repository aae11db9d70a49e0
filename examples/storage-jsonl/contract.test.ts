import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import type { Engine } from "manifold"
import { engineContract } from "manifold/contracts"
import { testEngine } from "./testing.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-jsonl-"))
after(() => rmSync(root, { recursive: true, force: true }))

const folders = new Map<Engine, string>()

function engineIn(folder: string, nowMs: () => number): Engine {
  const { engine } = testEngine(folder, nowMs)
  folders.set(engine, folder)
  return engine
}

engineContract("storage-jsonl", (nowMs) => engineIn(join(root, String(folders.size)), nowMs), {
  modes: ["hybrid", "persistent"],
  limits: "late",
  restarted: (engine, nowMs) => {
    const copy = join(root, String(folders.size))
    cpSync(folders.get(engine) ?? "", copy, { recursive: true })
    return engineIn(copy, nowMs)
  }
})
