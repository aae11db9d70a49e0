/** Using the broker as a library: what a program imports beside the core. docs/embedding.md walks through it. */
export type {
  HandlerOptions,
  HandlerSubscription,
  Header,
  MessageHandler,
  MessageProperties,
  MessageStream,
  Publisher,
  PublishOptions,
  ReadOptions,
  ReadStep,
  ReceivedMessage,
  StoredRecord,
  SubscribeOptions,
  TopicDescription,
  UserProperties
} from "../plugins/embedded/mod.ts"
export { PAYLOAD_BYTES_MAX, PublishError, ReadError, SubscriptionError } from "../plugins/embedded/mod.ts"
export type { Broker } from "./Broker.ts"
export type { BuiltinOptions, Configuration, Surroundings } from "./Configuration.ts"
export { ConfigurationError } from "./load-configuration.ts"
export { type OpenBroker, openBroker, start } from "./start.ts"
