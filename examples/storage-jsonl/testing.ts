/** Engines for the tests: on the disk, with services as core gives them. */
import { mkdirSync } from "node:fs"
import { type TestServices, testServices } from "manifold/contracts"
import { type EngineParts, type JsonlEngine, makeJsonlEngine } from "./engine.ts"

export interface TestEngine extends TestServices {
  readonly engine: JsonlEngine
}

export function testEngine(folder: string, nowMs: () => number, changed: Partial<EngineParts> = {}): TestEngine {
  mkdirSync(folder, { recursive: true })
  const services = testServices(nowMs)
  const bounds = { partitionsMax: 10_000, tailBytesMax: 16_384, unsyncedBytesMax: 16_777_216, flushMs: 20 }
  return { ...services, engine: makeJsonlEngine({ ...services, ...bounds, folder, ...changed }) }
}
