/**
 * Faults that are planted into the broker's source while it is loaded: the product has no switch for them. Each replaces one piece of
 * text that must stand exactly once in its file; a planting that finds no ground fails the start, and so the test that asked for it.
 *
 * What only the power can lose (an acknowledgement before the sync, a torn tail that is not cut, a CRC that is ignored) is not here:
 * kill -9 leaves every byte that was written to the operating system. The journal's own tests plant those in a simulated disk. Nor is an
 * operation that is replayed twice: operations are idempotent, so nothing can be seen from outside where that holds.
 */

export interface Replacement {
  /** Of the repository. */
  readonly file: string
  readonly text: string
  readonly by: string
}

export interface Bug {
  readonly name: string
  readonly what: string
  readonly replacements: ReadonlyArray<Replacement>
  /** What the harness says of it, one of its violations. */
  readonly says: RegExp
  /** Without kills it cannot be seen. */
  readonly needsKills: boolean
}

const NODE_FILES = "core/platform/node-files.ts"
const DURABLE_SESSION = "plugins/protocol-mqtt/DurableSession.ts"
const FLIGHTS = "plugins/protocol-mqtt/Flights.ts"
const KEPT_RECEIPTS = "plugins/protocol-mqtt/KeptReceipts.ts"
const WILLS = "plugins/protocol-mqtt/Wills.ts"

/** The disk is slow, which is no fault: what waits for it waits long enough to be killed in between. */
const SLOW_SYNC: Replacement = {
  file: NODE_FILES,
  text: "await called((done) => fdatasync(descriptor, (error) => done(error, 0)))\n",
  by: "await called((done) => fdatasync(descriptor, (error) => setTimeout(() => done(error, 0), 25)))\n"
}
const TWICE = /came again with QoS 2|is stored 2 times/
const LOST = /lost: .* mqtt message/

export const BUGS: ReadonlyArray<Bug> = [
  {
    name: "acknowledges-before-the-write",
    what: "the journal is written 80 ms after it was said to be",
    needsKills: true,
    says: /lost: |ends at offset|was told for|session present is false|is retained on|is #\d+, it can be|came again with QoS 2/,
    replacements: [
      {
        file: NODE_FILES,
        text: "  writeUnsafe(bytes: Uint8Array, start: number, end: number, position: number): void {\n",
        by: `  writeUnsafe(bytes: Uint8Array, start: number, end: number, position: number): void {
    if (!this.pathname.endsWith(".journal")) return this.writeNow(bytes, start, end, position)
    const late = bytes.slice(start, end)
    setTimeout(() => this.writeNow(late, 0, late.length, position), 80)
  }

  writeNow(bytes: Uint8Array, start: number, end: number, position: number): void {\n`
      }
    ]
  },
  {
    name: "pubcomp-before-the-removal",
    what: "PUBCOMP does not wait until the packet identifier's removal is committed",
    needsKills: true,
    says: LOST,
    replacements: [
      SLOW_SYNC,
      {
        file: KEPT_RECEIPTS,
        text: "answers.wait(journal.tickets, journal.tickets.issued, Packet.PUBCOMP, packetIdentifier)",
        by: "answers.acknowledge(0, Packet.PUBCOMP, packetIdentifier)"
      }
    ]
  },
  {
    name: "pubrel-before-the-pubrec",
    what: "PUBREL does not wait until it is committed that PUBREC came",
    needsKills: true,
    says: TWICE,
    replacements: [
      SLOW_SYNC,
      {
        file: FLIGHTS,
        text: "this.#whenCommitted(packetIdentifier, Packet.PUBREL)",
        by: "this.#session.connection?.sendPubrel(packetIdentifier)"
      }
    ]
  },
  {
    name: "forgets-received-identifiers",
    what: "packet identifiers of QoS 2 messages that came are not read back",
    needsKills: true,
    says: TWICE,
    replacements: [SLOW_SYNC, { file: DURABLE_SESSION, text: "this.takeReceived(identifier)", by: "void identifier" }]
  },
  {
    name: "forgets-wills",
    what: "a will is not kept when its client connects",
    needsKills: true,
    says: /lost: .*will message/,
    replacements: [
      {
        file: WILLS,
        text: "this.#broker.services.journal.submit({ writes: [{ key: rows.willKey(number), value: rows.encodeWill(row) }] })",
        by: "rows.encodeWill(row)"
      }
    ]
  },
  {
    name: "forgets-a-subscription-identifier",
    what: "SUBSCRIBE keeps no subscription identifier",
    needsKills: false,
    says: /has the subscription identifiers/,
    replacements: [
      {
        file: "plugins/protocol-mqtt/subscribing.ts",
        text: "makeAll(connection, session, subscriptions, subscriptionIdentifier, refused, start)",
        by: "makeAll(connection, session, subscriptions, 0, refused, start)"
      }
    ]
  },
  {
    name: "switches-before-the-rest",
    what: "a topic that is moved goes on in its new log before the rest of the former one is copied",
    needsKills: true,
    says: /lost: |ends at offset|was told for|was acknowledged and is not in/,
    replacements: [
      {
        file: "core/topics/ShardMoves.ts",
        text: "          return log === undefined ? false : copy.drain(log, goesOn)\n",
        by: "          return log !== undefined\n"
      }
    ]
  }
]
