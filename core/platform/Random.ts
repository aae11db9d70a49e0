/** Chance. One seed replays a run under the simulated platform; under a real one it comes from the system's generator. */
import { Context } from "effect"

export interface RandomShape {
  /** A uniformly chosen unsigned 32-bit integer. */
  uint32(): number
  /** Fills `target[start, end)` with random bytes. */
  fill(target: Uint8Array, start: number, end: number): void
}

export class Random extends Context.Service<Random, RandomShape>()("manifold/core/platform/Random") {}

/** A random (version 4) UUID in its usual text form, RFC 9562. */
export function randomUuid(random: RandomShape): string {
  const bytes = new Uint8Array(16)
  random.fill(bytes, 0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return uuidText(bytes)
}

/** The text form of 16 bytes. */
export function uuidText(bytes: Uint8Array): string {
  const hex = bytes.toHex()
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The 16 bytes of a UUID's text form. */
export function uuidBytes(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll("-", ""))
}
