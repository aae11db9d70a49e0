/** The APIs of consumer groups: members, offsets, and what an administrator asks. */
import { deleteGroups } from "./messages/delete-groups.ts"
import { describeGroups } from "./messages/describe-groups.ts"
import { heartbeat } from "./messages/heartbeat.ts"
import { joinGroup } from "./messages/join-group.ts"
import { leaveGroup } from "./messages/leave-group.ts"
import { listGroups } from "./messages/list-groups.ts"
import { offsetCommit } from "./messages/offset-commit.ts"
import { offsetDelete } from "./messages/offset-delete.ts"
import { offsetFetch } from "./messages/offset-fetch.ts"
import { syncGroup } from "./messages/sync-group.ts"
import type { Api } from "./schema.ts"

export {
  deleteGroups,
  describeGroups,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup
}

/** In the order of their keys. */
export const GROUP_APIS: ReadonlyArray<Api> = [
  offsetCommit,
  offsetFetch,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  deleteGroups,
  offsetDelete
]
