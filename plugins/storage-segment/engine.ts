/** The engine "segment": partitions of a store's segments. */
import { type Engine, FileError, makeJournaledEngine } from "../../core/mod.ts"
import { ENGINE, type SegmentStore } from "./SegmentStore.ts"

export function makeSegmentEngine(store: SegmentStore): Engine {
  return makeJournaledEngine({
    name: ENGINE,
    partitions: store.partitions,
    checkpoints: store.checkpoints,
    compaction: store.compaction,
    explain: (error) => (error instanceof FileError ? error.message : undefined)
  })
}
