import { systemClock } from "../../core/platform/system.ts"
import { makeMemoryEngine } from "../../plugins/storage-memory/engine.ts"
import { MemoryKeyValueStore } from "../../plugins/storage-memory/MemoryKeyValueStore.ts"
import { engineContract } from "./engine-contract.ts"
import { keyValueContract } from "./key-value-contract.ts"

const settings = { partition_bytes_max: 67_108_864, total_bytes_max: 1_073_741_824 }

engineContract("storage-memory", (nowMs) => makeMemoryEngine(settings, { ...systemClock, monotonicMs: nowMs }), {
  heedsStart: true,
  takesCopies: true
})
keyValueContract("storage-memory", () => new MemoryKeyValueStore())
