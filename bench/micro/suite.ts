/**
 * What a micro benchmark is.
 *
 * Invariants
 *  - A case runs a batch of operations a sample, so that the clock's own cost does not count.
 *  - Every case returns a check value made from its results: it is printed, and forbids the compiler to leave work out.
 */

/** One thing that is measured. */
export interface MicroCase {
  readonly name: string
  /** Bytes of one operation; 0 where size means nothing. */
  readonly bytes: number
  /** Operations that one call of `run` does. */
  readonly operations: number
  /** Does the operations and returns a check value that depends on all of them, the same at every call. */
  run(): number
}

export interface MicroSuite {
  readonly name: string
  readonly cases: readonly MicroCase[]
}
