/** What this plugin counts on one shard, as plain numbers; read by the metrics at scrape. */
export class Counts {
  connectionsAccepted = 0
  connectionsOpen = 0
  /** By packet type (section 2.1.2); without PUBLISH, which has its own counts. */
  readonly packetsReceived = new Float64Array(16)
  readonly packetsSent = new Float64Array(16)
  publishReceived = 0
  publishSent = 0
  publishRefused = 0
  /** Filters of SUBSCRIBE packets. */
  subscribesRefused = 0
  /** QoS 0 messages dropped because their subscriber does not read. */
  droppedSlow = 0
  /** QoS 1 and 2 messages dropped because the queue of their session was full. */
  droppedQueue = 0
  /** Readings of sessions that found their position trimmed away by a bound of the queue log. */
  trimmedBehind = 0
  /** Messages dropped because they expired before they could be sent. */
  droppedExpired = 0
  /** Messages dropped because the client's Maximum Packet Size is smaller. */
  droppedTooLarge = 0
  queuedMessages = 0
  bytesReceived = 0
  bytesSent = 0
  connectTimeouts = 0
  authenticationsFailed = 0
  keepAliveTimeouts = 0
  takeOvers = 0
  /** Times that a client was not read for a while because it published too fast. */
  publishPauses = 0
  /** Messages of shared subscriptions that a member gave back for another one. */
  sharedReturned = 0
  willsPublished = 0
  /** Times that a replay found its place trimmed away. */
  replayGaps = 0
  /** Partitions of topics that came to be and that a replay has no room for. */
  replayLeftOut = 0
  autoSubscribesRefused = 0
  /** Connections closed by the broker, by MQTT 5 Reason Code. */
  readonly closedByReason = new Map<number, number>()

  received(type: number): void {
    this.packetsReceived[type] = (this.packetsReceived[type] ?? 0) + 1
  }

  sent(type: number): void {
    this.packetsSent[type] = (this.packetsSent[type] ?? 0) + 1
  }

  closed(reasonCode: number): void {
    this.closedByReason.set(reasonCode, (this.closedByReason.get(reasonCode) ?? 0) + 1)
  }
}
