/** Assertions that stay on in production. What may be expected from outside is never asserted. */

/** The broker's own state is wrong. Never caught; the process stops. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation"
}

/** Stops the process unless `condition` holds. `message` names the invariant, in the positive. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message)
}
