/** Compaction as core does it: what is left of a partition's log, whichever engine keeps it. */

export { CompactionRound, type RoundOptions, type RoundParts, type RoundResult } from "./CompactionRound.ts"
export { SECRET_WORDS } from "./keyed-hash.ts"
export { OffsetMap, type OffsetMapOptions } from "./OffsetMap.ts"
export { type KnownProducers, ProducerEnds } from "./ProducerEnds.ts"
