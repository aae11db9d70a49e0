/**
 * Every difference between this broker and mosquitto 2.0.11 that is known, with the words of the standard that explain it. What no entry
 * explains fails the run. An entry is as narrow as its reason: it says which difference, at which step, of which message.
 */
import type { Difference } from "./compare.ts"
import { isShared, matchesShared } from "./matches.ts"
import type { Role, Scene } from "./Scene.ts"

export interface Explanation {
  readonly name: string
  /** The statement that mosquitto breaks, or the section that leaves both free; of MQTT 5.0 unless it says otherwise. */
  readonly statement: string
  readonly right: "ours" | "both"
  readonly why: string
  readonly explains: (found: Found) => boolean
}

/** A difference, with what the clients know. */
export interface Found {
  readonly difference: Omit<Difference, "explanation">
  readonly role: Role
  readonly scene: Scene
  /** The client has got the message before, or a copy of it. */
  readonly isRepeated: boolean
}

const originOf = ({ difference, scene }: Found) => scene.origins.get(difference.payload ?? "")
const specialOf = ({ difference, scene }: Found) => scene.special.get(difference.payload ?? "")
/** The client's subscriptions that match the message. */
const matching = ({ role, scene, difference }: Found) =>
  [...role.subscriptions.values()].filter(({ filter }) => matchesShared(filter, scene.name(difference.topic ?? "")))
const isMatched = (found: Found, condition: (filter: string) => boolean): boolean =>
  matching(found).some(({ filter }) => condition(filter))

/** At this step the client is back, or takes what waited since it is. */
const isBack = ({ difference: { did, client } }: Found): boolean =>
  (did.kind === "connect" || did.kind === "acknowledge") && did.client === client

/**
 * What is different where mosquitto sends nothing of QoS 1 and 2 any more, or only on the next connection. Empty messages on one name count as
 * copies of one, so theirs may differ in all.
 */
const ofStuck: ReadonlyArray<Difference["what"]> = [
  ...(["surplus", "missing", "qos", "retain", "identifiers", "properties", "order"] as const)
]

export const EXPLAINED: ReadonlyArray<Explanation> = [
  {
    name: "take-over is told",
    statement: "MQTT-3.1.4-3",
    right: "ours",
    why: "the server sends DISCONNECT 0x8E to the connection that is taken over; mosquitto closes it without",
    explains: ({ difference: { what, did, ours, theirs } }) =>
      what === "packets" && did.kind === "connect" && String(ours) === "disconnect 0x8e" && String(theirs) === ""
  },
  {
    name: "will of a connection that was taken over",
    statement: "MQTT-3.1.2-8",
    right: "ours",
    why: "without a delay the will is published because the connection is closed, and 3.1.4 says so of a take-over; mosquitto drops it where the session goes on",
    explains: (found) => found.difference.what === "surplus" && specialOf(found) === "taken over"
  },
  {
    name: "delayed will of a session that ends",
    statement: "MQTT-3.1.2-8",
    right: "ours",
    why: "the will is published when the session ends, however long its delay; mosquitto drops it at a clean start, and waits where the session ends with its connection",
    explains: (found) => found.difference.what === "surplus" && specialOf(found) === "before its delay"
  },
  {
    name: "what is retained where such a will was dropped",
    statement: "MQTT-3.1.2-15",
    right: "ours",
    why: "a will with Will Retain takes the place of what was retained; mosquitto has the message before it, or none",
    explains: (found) => {
      const { topic = "", what } = found.difference
      return what === "missing" && found.scene.specialNames.has(topic) && originOf(found)?.retain === true
    }
  },
  {
    name: "own will of a session that ends",
    statement: "3.1.2.5",
    right: "both",
    why: "the will is published and the session is over at the same moment; whether the former comes first, and goes to the latter, is left open",
    explains: (found) => {
      const { what, client } = found.difference
      const origin = originOf(found)
      return (what === "missing" || what === "surplus") && origin?.client === client && origin.isWillOfKept === false
    }
  },
  {
    name: "retained messages of a shared subscription",
    statement: "4.8.2",
    right: "ours",
    why: "no retained messages are sent to a session when it subscribes to a shared subscription; mosquitto sends them to 3.1.1 clients, and where the filter stands twice",
    explains: (found) => {
      const { what } = found.difference
      return (what === "missing" || what === "qos") && originOf(found)?.retain === true && isMatched(found, isShared)
    }
  },
  {
    name: "options of a subscription that was replaced",
    statement: "MQTT-3.8.4-3",
    right: "ours",
    why: "an equal filter replaces the subscription; mosquitto takes the new QoS and identifier, and keeps No Local and Retain As Published",
    explains: (found) =>
      !["packets", "order", "properties"].includes(found.difference.what) &&
      isMatched(found, (filter) => found.role.replaced.has(filter))
  },
  {
    name: "one copy for subscriptions with and without Retain As Published",
    statement: "3.3.4",
    right: "both",
    why: "one copy for overlapping subscriptions has one RETAIN flag, and nothing says whose; mosquitto sends a copy for each, but keeps those of QoS 1 and 2 alone for who is away",
    explains: (found) => {
      const options = matching(found).map(({ retainAsPublished }) => retainAsPublished)
      return found.difference.what === "retain" && options.includes(true) && options.includes(false)
    }
  },
  {
    name: "copies of QoS 0 for who is away",
    statement: "3.3.4",
    right: "both",
    why: "of the copies for overlapping subscriptions the one of QoS 0 need not be kept for who is away (4.5), and its identifier goes with it; one copy has all of them",
    explains: (found) => {
      const granted = matching(found).map(({ qos }) => qos)
      return isBack(found) && found.difference.what === "identifiers" && Math.min(...granted) === 0
    }
  },
  {
    name: "copies are acknowledged one by one",
    statement: "3.3.4",
    right: "both",
    why: "of the copies for overlapping subscriptions one may be open and sent again while the other is not; one copy is open or not",
    explains: (found) => {
      const { what } = found.difference
      const isCopy = what === "missing" || what === "identifiers" || what === "qos"
      return isCopy && isBack(found) && found.isRepeated && matching(found).length > 1
    }
  },
  {
    name: "room for a message that was too large",
    statement: "MQTT-3.1.2-25",
    right: "ours",
    why: "a message larger than the client's Maximum Packet Size is dropped as if it had been sent; mosquitto counts it against the Receive Maximum for good",
    explains: ({ difference: { what }, role }) => ofStuck.includes(what) && role.spent.has("too large")
  },
  {
    name: "room for a message that was refused",
    statement: "4.9",
    right: "ours",
    why: "a PUBREC of 0x80 or more gives its place within the Receive Maximum back; mosquitto keeps it taken",
    explains: ({ difference: { what }, role }) => ofStuck.includes(what) && role.spent.has("refused")
  },
  {
    name: "UNSUBACK where no name of that first level was ever subscribed to",
    statement: "3.11.3",
    right: "ours",
    why: "0x11 says that there was no subscription; mosquitto says 0x00 where its tree has nothing of the filter's first level",
    explains: ({ difference: { what, did, ours, theirs } }) =>
      what === "packets" &&
      did.kind === "unsubscribe" &&
      String(theirs).startsWith("unsuback") &&
      String(ours).replaceAll("0x11", "0x0") === String(theirs).replaceAll("0x11", "0x0") &&
      did.filters.every((filter, index) => codeAt(ours, index) === codeAt(theirs, index) || filter.startsWith("$~"))
  }
]

const codeAt = (packets: unknown, index: number): string | undefined => String(packets).split(" ")[index + 1]

export function explain(found: Found): Explanation | undefined {
  return EXPLAINED.find(({ explains }) => explains(found))
}
