/** The plugins that are part of this build, in the order in which a person reads of them. */
import type { Plugin } from "../core/mod.ts"
import { plugin as adminHttp } from "../plugins/admin-http/mod.ts"
import { plugin as metaRaft } from "../plugins/meta-raft/mod.ts"
import { plugin as protocolKafka } from "../plugins/protocol-kafka/mod.ts"
import { plugin as protocolMqtt } from "../plugins/protocol-mqtt/mod.ts"
import { plugin as storageMemory } from "../plugins/storage-memory/mod.ts"

export const builtins: ReadonlyArray<Plugin> = [storageMemory, metaRaft, protocolMqtt, protocolKafka, adminHttp]
