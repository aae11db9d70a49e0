/**
 * What the meta store has at the start goes into the directory as bytes: of a million topics most are alike but for name and id, and have
 * nothing open. The others go the way of every change.
 */
import type { Engines } from "../log/Engines.ts"
import type { MetaChange, MetaFound } from "../meta/MetaStore.ts"
import type { TopicDirectory } from "./TopicDirectory.ts"
import { isPlain } from "./TopicKinds.ts"
import { ID_AT, META_PREFIX, storedKind } from "./topic-codec.ts"

export interface LoadTopicsParts {
  readonly directory: Pick<TopicDirectory, "load">
  readonly engines: Pick<typeof Engines.Service, "get">
  /** Told of each topic that is one by itself. */
  readonly changed: (change: MetaChange) => void
}

/** Is told of the entries under {@link META_PREFIX}. Who has heard of topics by their names is told of all when the last was loaded. */
export function loadTopics({ directory, engines, changed }: LoadTopicsParts): MetaFound {
  let tenant = 0
  let prefix = ""
  return (key, bytes, start, end, version) => {
    if (prefix === "" || !key.startsWith(prefix)) {
      prefix = key.slice(0, key.indexOf("/", META_PREFIX.length) + 1)
      tenant = Number(prefix.slice(META_PREFIX.length, -1))
    }
    const kind = storedKind(bytes, start, end)
    // Of an engine that does not open its partitions by use, or is not there, something is to be done for each.
    if (kind !== undefined && isPlain(kind) && engines.get(kind.engine)?.reopens !== undefined) {
      if (directory.load(tenant, key.slice(prefix.length), kind, bytes, start + ID_AT)) return
    }
    changed({ key, value: bytes.slice(start, end), revision: version })
  }
}
