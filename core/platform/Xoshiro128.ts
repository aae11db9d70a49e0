/**
 * Pseudo-random numbers from a seed, the same on every machine: for simulations, never for what must not be guessed.
 *
 * Source: D. Blackman, S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47 (2021): xoshiro128**, 32 bits a step,
 * period 2^128 - 1. The seed is spread over the state by steps of the golden ratio through the finaliser of MurmurHash3
 * (A. Appleby).
 *
 * Invariant: the state is never all zero.
 */
import type { RandomShape } from "./Random.ts"

const GOLDEN_RATIO = 0x9e3779b9

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function finalise(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

export class Xoshiro128 implements RandomShape {
  readonly #state: Uint32Array

  constructor(state: readonly [number, number, number, number]) {
    this.#state = Uint32Array.from(state)
    if (this.#state.every((word) => word === 0)) this.#state[0] = 1
  }

  /** A generator for `seed`, any 32-bit integer; `stream` tells apart several that one seed drives. */
  static seeded(seed: number, stream = 0): Xoshiro128 {
    const start = finalise(seed ^ finalise(stream + 1))
    const word = (index: number): number => finalise(start + Math.imul(index + 1, GOLDEN_RATIO))
    return new Xoshiro128([word(0), word(1), word(2), word(3)])
  }

  uint32(): number {
    const state = this.#state
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0
    const x2 = s2 ^ s0
    const x3 = s3 ^ s1
    state[1] = s1 ^ x2
    state[0] = s0 ^ x3
    state[2] = x2 ^ (s1 << 9)
    state[3] = rotateLeft(x3, 11)
    return result
  }

  fill(target: Uint8Array, start: number, end: number): void {
    for (let position = start; position < end; ) {
      let word = this.uint32()
      for (let count = 0; count < 4 && position < end; count++, position++) {
        target[position] = word
        word >>>= 8
      }
    }
  }

  /** A whole number from 0 to `bound` - 1, as even as 32 bits can be. */
  below(bound: number): number {
    return Math.floor((this.uint32() / 4_294_967_296) * bound)
  }

  /** True `times` times out of `outOf`. */
  chance(times: number, outOf: number): boolean {
    return this.below(outOf) < times
  }
}
