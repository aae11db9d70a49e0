/** What a bridge has done, as plain numbers. `in` is from the remote broker to this one. */
export class Counts {
  messagesIn = 0
  messagesOut = 0
  bytesIn = 0
  bytesOut = 0
  /** Attempts to connect. */
  attempts = 0
  /** Connections that stood. */
  connections = 0
  /** Messages that were given up, as far as they were counted. */
  droppedIn = 0
  droppedOut = 0
  /** Times that messages were given up, in either direction. */
  gaps = 0
  /** Messages that had been here before, or passed too many brokers. */
  looped = 0
}
