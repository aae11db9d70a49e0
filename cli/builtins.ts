/** The plugins that are built in, in the order in which they start. */
import type { Plugin } from "../core/mod.ts"
import { plugin as metaRaft } from "../plugins/meta-raft/mod.ts"
import { plugin as protocolKafka } from "../plugins/protocol-kafka/mod.ts"
import { plugin as protocolMqtt } from "../plugins/protocol-mqtt/mod.ts"
import { plugin as storageMemory } from "../plugins/storage-memory/mod.ts"
export const builtins: ReadonlyArray<Plugin> = [storageMemory, metaRaft, protocolMqtt, protocolKafka]
