/** The public entry of the core: what plugins, ours and third parties', import (as `manifold` outside this repository). */
export * from "./access/Access.ts"
export * from "./access/Scram.ts"
export { assert, InvariantViolation } from "./assert.ts"
export { SEGMENT_SHARE } from "./budget/pressure.ts"
export type * from "./budget/StorageAccount.ts"
export { StorageBudget, type StorageBudgetShape } from "./budget/StorageBudget.ts"
export { KEY_BYTES_MAX, OrderedPages } from "./collections/OrderedPages.ts"
export { OrderedValues } from "./collections/OrderedValues.ts"
export { textHash } from "./collections/text-hash.ts"
export * from "./compaction/mod.ts"
export { address, addressList } from "./config/address-list.ts"
export * from "./ingress/History.ts"
export * from "./ingress/Ingress.ts"
export { Message } from "./ingress/Message.ts"
export * from "./ingress/RetainedSeam.ts"
export { JointTickets } from "./journal/JointTickets.ts"
export * from "./journal/Journal.ts"
export { decodeWrites } from "./journal/key-value-writes.ts"
export { TicketFifo, type TicketRelease } from "./journal/TicketFifo.ts"
export * from "./journaled/mod.ts"
export * from "./kv/KeyValueStore.ts"
export * from "./kv/key-prefixes.ts"
export { ByteReader, ByteWriter } from "./link/bytes.ts"
export { GrowingBytes } from "./link/GrowingBytes.ts"
export type { Mailbox, MailReceiver } from "./link/Mailboxes.ts"
export type * from "./log/CompactionStore.ts"
export * from "./log/Engines.ts"
export {
  type ActiveProducer,
  type AppendResult,
  type DeleteResult,
  type EpochEnd,
  HIGH_WATERMARK,
  Logs,
  type LogsShape,
  type LogWaiter,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  type PartitionSize,
  type PartitionState,
  type ProducersResult,
  type ReadResult
} from "./log/Logs.ts"
export * from "./log/mod.ts"
export { LINGER_MS } from "./log/PartitionLog.ts"
export { type LeasedMemory, ReadLease } from "./log/ReadLease.ts"
export * from "./meta/MetaStore.ts"
export { Clock, type ClockShape, type Timer } from "./platform/Clock.ts"
export {
  CertificateError,
  type CertificateFiles,
  type CertificateParts,
  watchCertificates
} from "./platform/certificates.ts"
export * from "./platform/Files.ts"
export { addressOf, isInNetwork, type Network, networkOf } from "./platform/ip-address.ts"
export * from "./platform/mod.ts"
export * from "./platform/Net.ts"
export { behindProxy } from "./platform/proxy-protocol.ts"
export { Random, type RandomShape, randomUuid, uuidBytes, uuidText } from "./platform/Random.ts"
export { readWhole, replaceFile } from "./platform/replace-file.ts"
export { Threads } from "./platform/Threads.ts"
export { TimerWheel, type WheelTask } from "./platform/TimerWheel.ts"
export { Turn, type TurnShape, type TurnTask } from "./platform/Turn.ts"
export * from "./plugin/Inspection.ts"
export * from "./plugin/Plugin.ts"
export { ProducerIds, type ProducerIdsShape } from "./producers/ProducerIds.ts"
export * from "./queue/QueueLogs.ts"
export { lowOf, SharedCursor, type SharedPosition } from "./queue/SharedCursor.ts"
export * from "./resources/mod.ts"
export { Delivery, type Subscriber, Subscription } from "./router/Delivery.ts"
export { Router, type RouterShape } from "./router/Router.ts"
export * from "./router/topic-filter.ts"
export { isWellFormedUtf8 } from "./router/utf8.ts"
export { HOSTED_PREFIX, type HostedClient, HostedClients, type HostedClientsShape } from "./shard/HostedClients.ts"
export { Shard, type ShardShape } from "./shard/Shard.ts"
export * from "./telemetry/mod.ts"
export { textOfBytes } from "./text-of-bytes.ts"
export type { ConfigType } from "./topics/config-values.ts"
export { isKafkaTopicName, nameOfTopic, topicOfName } from "./topics/default-binding.ts"
export { type ConfigSynonym, type DescribedConfig, describedConfigs } from "./topics/described-configs.ts"
export {
  type FilterLevels,
  filterCovers,
  filterLevels,
  filtersOverlap,
  levelsCover,
  levelsOverlap
} from "./topics/filter-relations.ts"
export { homeFrom } from "./topics/former-bindings.ts"
export type { TopicDefault, TopicInfo, TopicOrigin } from "./topics/TopicInfo.ts"
export {
  type ConfigOperation,
  type NewTopic,
  type TopicAlteration,
  TopicError,
  Topics,
  type TopicsShape
} from "./topics/Topics.ts"
export { configsOfRule, PARTITIONS_MAX } from "./topics/topic-alteration.ts"
export { TOPIC_CONFIGS, topicConfigOf } from "./topics/topic-configs.ts"
export { settingsOf, type TopicConfigs, type TopicSettings } from "./topics/topic-settings.ts"
