/**
 * A keyed hash of 128 bits: two of HalfSipHash-2-4 with 64 bits each, under keys that do not depend on one another.
 *
 * Compaction takes two keys of the same hash for the same, and forgets the older record: so nobody may be able to find two, who may choose
 * keys and does not know the secret. By chance it happens among a billion keys once in 10^20 rounds.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF"; halfsiphash.c of its reference implementation.
 */

/** Words (32 bits) of a secret, and of a hash. */
export const SECRET_WORDS = 4
export const HASH_WORDS = 4

/** HalfSipHash-2-4 of `bytes[start, end)` under the key (`k0`, `k1`): its 64 bits go to `target[at]` and `target[at + 1]`. */
export function halfSipHash(
  bytes: Uint8Array,
  start: number,
  end: number,
  k0: number,
  k1: number,
  target: Int32Array,
  at: number
): void {
  let v0 = k0
  let v1 = k1 ^ 0xee
  let v2 = 0x6c796765 ^ k0
  let v3 = 0x74656462 ^ k1
  let position = start
  // The words of the key, its last bytes with its length, and eight rounds that end it: one loop, so that the round stands here once.
  const words = ((end - start) >>> 2) + 1
  for (let step = 0; step < words + 4; step++) {
    let word = 0
    if (step < words - 1) {
      word =
        bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)
      position += 4
    } else if (step === words - 1) {
      word = (end - start) << 24
      for (let shift = 0; position < end; position++, shift += 8) word |= bytes[position]! << shift
    } else if (step === words) v2 ^= 0xee
    else if (step === words + 2) {
      target[at] = v1 ^ v3
      v1 ^= 0xdd
    }
    v3 ^= word
    for (let round = 0; round < 2; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
  }
  target[at + 1] = v1 ^ v3
}

/** The hash of `bytes[start, end)` under `secret`, {@link SECRET_WORDS} random words, into the first {@link HASH_WORDS} of `target`. */
export function hashKey(bytes: Uint8Array, start: number, end: number, secret: Int32Array, target: Int32Array): void {
  halfSipHash(bytes, start, end, secret[0]!, secret[1]!, target, 0)
  halfSipHash(bytes, start, end, secret[2]!, secret[3]!, target, 2)
}
