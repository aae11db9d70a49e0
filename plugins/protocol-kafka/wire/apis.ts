/**
 * The table of APIs that this broker speaks: what ApiVersions advertises and what a request is looked up in. Another API is one
 * more file in messages/, one more line in its mod.ts and one more handler.
 */
import * as messages from "./messages/mod.ts"
import type { Api } from "./schema.ts"

export * from "./messages/mod.ts"

/** In the order of their keys. */
export const APIS: ReadonlyArray<Api> = Object.values<Api>(messages).toSorted((left, right) => left.key - right.key)

const byKey = new Map(APIS.map((api) => [api.key, api]))

/** The API of a key; undefined where this broker does not speak it. */
export function apiOf(key: number): Api | undefined {
  return byKey.get(key)
}
