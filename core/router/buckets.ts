/**
 * Buckets of wildcard filters: a filter is in the bucket of its literal prefix (its first two levels, as far as they are
 * literal), so that a new wildcard subscription makes stale only what it could match.
 */
import { textHash } from "../collections/text-hash.ts"

export const BUCKETS = 4096

/** The bucket of a literal prefix; "" (leading wildcards) is bucket 0, which every name depends on. */
export function bucketOf(prefix: string): number {
  if (prefix === "") return 0
  return 1 + (textHash(prefix) % (BUCKETS - 1))
}
