/**
 * The table of APIs that this broker speaks: what ApiVersions advertises and what a request is looked up in. Another API is one
 * more line here, one more file in messages/ and one more handler.
 */
import { GROUP_APIS } from "./group-apis.ts"
import { apiVersions } from "./messages/api-versions.ts"
import { describeProducers } from "./messages/describe-producers.ts"
import { fetch } from "./messages/fetch.ts"
import { findCoordinator } from "./messages/find-coordinator.ts"
import { initProducerId } from "./messages/init-producer-id.ts"
import { listOffsets } from "./messages/list-offsets.ts"
import { metadata } from "./messages/metadata.ts"
import { offsetForLeaderEpoch } from "./messages/offset-for-leader-epoch.ts"
import { produce } from "./messages/produce.ts"
import type { Api } from "./schema.ts"

export {
  apiVersions,
  describeProducers,
  fetch,
  findCoordinator,
  initProducerId,
  listOffsets,
  metadata,
  offsetForLeaderEpoch,
  produce
}

/** In the order of their keys. */
export const APIS: ReadonlyArray<Api> = [
  produce,
  fetch,
  listOffsets,
  metadata,
  findCoordinator,
  apiVersions,
  initProducerId,
  offsetForLeaderEpoch,
  describeProducers,
  ...GROUP_APIS
].toSorted((left, right) => left.key - right.key)

const byKey = new Map(APIS.map((api) => [api.key, api]))

/** The API of a key; undefined where this broker does not speak it. */
export function apiOf(key: number): Api | undefined {
  return byKey.get(key)
}
