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
  /** Messages that were given up, in either direction; and how often that was for an unknown number of them. */
  droppedIn = 0
  droppedOut = 0
  gaps = 0
  /** Messages that had been here before, or passed too many brokers. */
  looped = 0
}
