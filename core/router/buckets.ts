/**
 * Buckets of wildcard filters: a filter is in the bucket of its literal prefix (its first two levels, as far as they are
 * literal), so that a new wildcard subscription makes stale only what it could match.
 */
export const BUCKETS = 4096

/** The bucket of a literal prefix; "" (leading wildcards) is bucket 0, which every name depends on. */
export function bucketOf(prefix: string): number {
  if (prefix === "") return 0
  let hash = 0x811c9dc5
  for (let index = 0; index < prefix.length; index++) hash = Math.imul(hash ^ prefix.charCodeAt(index), 0x01000193)
  return 1 + ((hash >>> 0) % (BUCKETS - 1))
}
