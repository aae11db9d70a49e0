/**
 * Seeded 32-bit hashes of texts and bytes for tables whose keys clients choose.
 *
 * A step takes in 16 bits and multiplies by a secret odd number. A difference that a client plants in those 16 bits spreads over
 * all 32 in a way that depends on the secret, so that the next 16 bits cannot take it back: keys that collide cannot be
 * made without the seed. (Hashes that take in 32 bits a step let a change of the top bit through, whatever the seed.)
 * It is no cryptographic hash, and its numbers are never stored nor sent.
 */

/** The secret multiplier of a seed, odd. */
export function hashMultiplier(seed: number): number {
  return finish(Math.imul(seed, 0x9e3779b1) ^ 0x7f4a7c15) | 1
}

/** The hash (signed 32 bits) of the code units `text[start, end)`. */
export function hashText(text: string, start: number, end: number, seed: number, multiplier: number): number {
  let hash = beginHash(end - start, seed)
  for (let position = start; position < end; position++) hash = mixUnit(hash, text.charCodeAt(position), multiplier)
  return finish(hash)
}

/** The same step by step, for texts that are no strings: begin, each code unit, {@link finish}. */
export function beginHash(length: number, seed: number): number {
  return seed ^ Math.imul(length, 0x9e3779b1)
}

export function mixUnit(hash: number, unit: number, multiplier: number): number {
  const mixed = Math.imul(hash ^ unit, multiplier)
  return mixed ^ (mixed >>> 15)
}

/** The hash (signed 32 bits) of `bytes[start, end)`. Not that of the same text by {@link hashText}. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number, multiplier: number): number {
  // Two sums that do not wait for each other.
  let first = seed ^ Math.imul(end - start, 0x9e3779b1)
  let second = ~seed
  let position = start
  for (const last = end - 4; position <= last; position += 4) {
    first = Math.imul(first ^ bytes[position]! ^ (bytes[position + 1]! << 8), multiplier)
    second = Math.imul(second ^ bytes[position + 2]! ^ (bytes[position + 3]! << 8), multiplier)
    first ^= first >>> 15
    second ^= second >>> 15
  }
  for (; position < end; position++) {
    first = Math.imul(first ^ bytes[position]!, multiplier)
    first ^= first >>> 15
  }
  return finish(Math.imul(first, multiplier) ^ ((second << 16) | (second >>> 16)))
}

/** Lets every bit of `hash` change every bit of the result. The finalizer of MurmurHash3 by Austin Appleby. */
export function finish(hash: number): number {
  let mixed = hash ^ (hash >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
