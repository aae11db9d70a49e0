/** A broker inside a program: what the program does with it. Each part of the work is described with the part that does it. */
import type { ListenerFact } from "../core/mod.ts"
import type {
  Face,
  HandlerOptions,
  HandlerSubscription,
  MessageHandler,
  MessageStream,
  Publisher,
  PublishOptions,
  ReadOptions,
  ReadStep,
  StoredRecord,
  SubscribeOptions,
  TopicDescription
} from "../plugins/embedded/mod.ts"

export class Broker {
  readonly id: string
  /** Every listener, with its real port. */
  readonly listeners: ReadonlyArray<ListenerFact>
  readonly #face: Face

  constructor(id: string, listeners: ReadonlyArray<ListenerFact>, face: Face) {
    this.id = id
    this.listeners = listeners
    this.#face = face
  }

  /** "host:port" of the first listener of a plugin: `address("protocol-mqtt")`, or of one kind: `address("protocol-mqtt", "websocket")`. */
  address(plugin: string, listener?: string): string {
    const found = this.listeners.find(
      (fact) => fact.plugin === plugin && (listener === undefined || fact.listener === listener)
    )
    if (found === undefined) throw new RangeError(`${plugin} has no ${listener ?? ""} listener`.replace("  ", " "))
    return found.address
  }

  /**
   * Publishes one message (QoS 1 unless told otherwise); its bytes are copied before this returns. The promise settles when what the
   * topic's mode promises is kept, and rejects with `PublishError` where it is refused.
   */
  publish(topicName: string, payload: Uint8Array | string, options?: PublishOptions): Promise<void> {
    return this.#face.publish(topicName, payload, options)
  }

  /** For many messages on one topic name: no promise a message. Throws `PublishError` where name or properties are no good. */
  publisher(topicName: string, options?: PublishOptions): Publisher {
    return this.#face.publisher(topicName, options)
  }

  /**
   * Hands every message whose topic name matches to `handler`, retained ones first unless told otherwise. When the promise settles
   * the subscription gets every message published from then on; it rejects with `SubscriptionError`.
   */
  subscribe(filter: string, handler: MessageHandler, options?: HandlerOptions): Promise<HandlerSubscription> {
    return this.#face.subscribe(filter, handler, options)
  }

  /** The same as an async iterable: `for await (const message of await broker.messages("sensors/#"))`. */
  messages(filter: string, options?: SubscribeOptions): Promise<MessageStream> {
    return this.#face.messages(filter, options)
  }

  /** The records of a partition from an offset or a time on, up to its end or on and on. Rejects with `ReadError`. */
  read(topic: string, partition = 0, options?: ReadOptions): AsyncGenerator<StoredRecord, void> {
    return this.#face.read(topic, partition, options)
  }

  /** One step of a read: as many records as fit in `bytesMax`, and where to go on. Rejects with `ReadError`. */
  readStep(topic: string, partition: number, offset: number, bytesMax?: number): Promise<ReadStep> {
    return this.#face.readStep(topic, partition, offset, bytesMax)
  }

  /** The topics that there are now. */
  topics(): ReadonlyArray<TopicDescription> {
    return this.#face.topics()
  }
}
