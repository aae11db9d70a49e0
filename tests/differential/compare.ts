/**
 * Compares what the clients of one broker saw with what those of another saw, less what the standard leaves free:
 *
 *  - packet identifiers, topic aliases, properties of CONNACK, reason strings, DUP;
 *  - the order between messages of different topics, publishers or QoS (4.6.0-6), and between acknowledgements of different kinds;
 *  - whether overlapping subscriptions give one copy or several (3.3.4): of several the highest QoS and all identifiers count;
 *  - whether a QoS 2 message goes on at its PUBLISH or at its PUBREL (4.3.3, figure 4.3): one that was begun at one step and released at
 *    another counts only where it came twice;
 *  - whether a successful acknowledgement says that nobody was subscribed (0x10);
 *  - which messages a client gets first that holds back acknowledgements within its Receive Maximum: those of such a client are compared
 *    once it has acknowledged all.
 */
import { type Properties, propertiesOf } from "../support/mqtt-packets.ts"
import type { Seen } from "./Client.ts"
import { type Explanation, explain } from "./explained.ts"
import { matchesShared } from "./matches.ts"
import type { Step } from "./plan.ts"
import type { Role, Scene } from "./Scene.ts"

export interface Difference {
  /** Which broker is not like the reference. */
  readonly subject: string
  readonly step: number
  readonly did: Step
  readonly client: number
  readonly version: number
  /** Of messages: `missing` and `surplus` are what the subject has less or more than the reference. */
  readonly what: "missing" | "surplus" | "qos" | "retain" | "identifiers" | "properties" | "order" | "packets" | "twice"
  /** Of a message. */
  readonly topic?: string | undefined
  readonly payload?: string | undefined
  readonly ours: unknown
  readonly theirs: unknown
  readonly explanation: Explanation | undefined
}

/** All copies of one message that one client got. */
export interface Merged {
  readonly topic: string
  readonly payload: string
  copies: number
  qos: number
  readonly retains: Set<boolean>
  readonly identifiers: Set<number>
  readonly properties: Set<string>
}

export class Comparison {
  readonly differences: Array<Difference> = []
  messages = 0
  readonly #subjects: ReadonlyArray<string>
  readonly #scene: Scene
  /** By broker and client, what a limited client got until now. */
  readonly #held: Array<Array<Array<Seen>>> = []
  /** Of each client, before the step. */
  #before: ReadonlyArray<{ readonly wasLimited: boolean; readonly ended: number }> = []
  /** By subject and client, what it got. */
  readonly #got = new Map<string, Set<string>>()
  /** By subject and client, how often it got a message that was begun at one step and released at another, repetitions left out. */
  readonly #copies = new Map<string, Map<string, number>>()
  /** Subjects of which nothing more is compared: an unexplained difference has changed what comes later. */
  readonly #over = new Set<string>()
  /** By subject and payload: messages that are different for a known reason, wherever they come. */
  readonly #known = new Map<string, Explanation>()

  constructor(subjects: ReadonlyArray<string>, scene: Scene) {
    this.#subjects = subjects
    this.#scene = scene
  }

  /** Whether nothing more is compared. */
  get isOver(): boolean {
    return this.#over.size === this.#subjects.length
  }

  /** Before the scene is told of a step. */
  before(): void {
    this.#before = this.#scene.roles.map(({ isLimited, ended }) => ({ wasLimited: isLimited, ended }))
  }

  /** `seen`: by broker, the reference first, and client. */
  after(number: number, step: Step, seen: ReadonlyArray<ReadonlyArray<ReadonlyArray<Seen>>>): void {
    for (const role of this.#scene.roles) {
      const { wasLimited = false, ended = 0 } = this.#before[role.index] ?? {}
      // What the rest of that session would have been is nobody's.
      const isCut = wasLimited && ended < role.ended
      const all = seen.map((clients, broker) => {
        const before = this.#heldOf(broker, role.index)
        const fresh = clients[role.index] ?? []
        const last = Math.max(...fresh.map(({ connection }) => connection))
        const now = isCut ? fresh.filter((each) => !isMessage(each) || each.connection === last) : [...before, ...fresh]
        before.length = 0
        if (role.isLimited) before.push(...now.filter(isMessage))
        return role.isLimited ? now.filter((each) => !isMessage(each)) : now
      })
      this.#compare(number, step, role, all, wasLimited)
    }
  }

  #heldOf(broker: number, client: number): Array<Seen> {
    const clients = (this.#held[broker] ??= [])
    return (clients[client] ??= [])
  }

  #compare(number: number, step: Step, role: Role, all: ReadonlyArray<ReadonlyArray<Seen>>, wasLimited: boolean): void {
    const [theirs = [], ...others] = all
    this.messages += theirs.filter(isMessage).length
    this.#subjects.forEach((subject, index) => {
      if (this.#over.has(subject)) return
      const finder = new Finder(this.#scene, subject, number, step, role)
      finder.packets(others[index] ?? [], theirs)
      finder.messages(others[index] ?? [], theirs, wasLimited)
      finder.apart(others[index] ?? [], this.#copiesOf(subject, role.index))
      for (const found of finder.differences) this.#judge(found, role)
      const got = this.#gotBy(subject, role.index)
      for (const key of finder.keys) got.add(key)
    })
  }

  #copiesOf(subject: string, client: number): Map<string, number> {
    const name = `${subject} ${client}`
    const copies = this.#copies.get(name) ?? new Map()
    this.#copies.set(name, copies)
    return copies
  }

  #gotBy(subject: string, client: number): Set<string> {
    const name = `${subject} ${client}`
    const got = this.#got.get(name) ?? new Set()
    this.#got.set(name, got)
    return got
  }

  #judge(difference: Omit<Difference, "explanation">, role: Role): void {
    const { subject, topic = "", payload = "" } = difference
    const isRepeated = this.#gotBy(subject, role.index).has(`${topic} ${payload}`)
    const found = { difference, role, scene: this.#scene, isRepeated }
    const key = `${subject} ${payload}`
    if (payload !== "" && this.#known.has(key)) return
    const explanation = explain(found)
    this.differences.push({ ...difference, explanation })
    if (explanation === undefined) this.#over.add(subject)
    else if (payload !== "") this.#known.set(key, explanation)
  }
}

/** Without what makes it large. */
const payloadOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8").trimEnd()
const isMessage = (each: Seen): boolean => each.type === "publish" || each.type === "pubrel"

class Finder {
  readonly differences: Array<Omit<Difference, "explanation">> = []
  /** What the subject's client got. */
  readonly keys = new Set<string>()
  readonly #scene: Scene
  readonly #subject: string
  readonly #number: number
  readonly #step: Step
  readonly #role: Role

  constructor(scene: Scene, subject: string, number: number, step: Step, role: Role) {
    this.#scene = scene
    this.#subject = subject
    this.#number = number
    this.#step = step
    this.#role = role
  }

  #add(what: Difference["what"], ours: unknown, theirs: unknown, message?: Merged): void {
    this.differences.push({
      subject: this.#subject,
      step: this.#number,
      did: this.#step,
      client: this.#role.index,
      version: this.#role.version,
      what,
      topic: message?.topic,
      payload: message?.payload,
      ours,
      theirs
    })
  }

  packets(ours: ReadonlyArray<Seen>, theirs: ReadonlyArray<Seen>): void {
    const [left = [], right = []] = [ours, theirs].map((seen) => seen.flatMap(plain).toSorted())
    const [surplus, missing] = [without(left, right), without(right, left)]
    if (surplus.length + missing.length > 0) this.#add("packets", surplus, missing)
  }

  messages(ours: ReadonlyArray<Seen>, theirs: ReadonlyArray<Seen>, wasLimited: boolean): void {
    const [left, right] = [this.#merge(ours), this.#merge(theirs)]
    for (const [key, mine] of left) {
      this.keys.add(key)
      const other = right.get(key)
      if (this.#scene.apart.has(mine.payload)) continue
      if (other === undefined) this.#add("surplus", show(mine), undefined, mine)
      else this.#both(mine, other)
    }
    for (const [key, other] of right) {
      if (!left.has(key) && !this.#scene.apart.has(other.payload)) this.#add("missing", undefined, show(other), other)
    }
    if (!wasLimited && this.differences.length === 0) this.#order([...left.values()], [...right.values()])
  }

  /** A message that may come at two steps comes at one of them. */
  apart(ours: ReadonlyArray<Seen>, copies: Map<string, number>): void {
    for (const each of ours) {
      // QoS 1 may come again, and as another message where the subscription is shared (4.8.2).
      if (each.type !== "publish" || each.qos < 2 || each.dup) continue
      const payload = payloadOf(each.payload)
      if (!this.#scene.apart.has(payload)) continue
      const count = (copies.get(payload) ?? 0) + 1
      copies.set(payload, count)
      const wanted = [...this.#role.subscriptions.keys()].filter((filter) => matchesShared(filter, each.topic)).length
      if (count === Math.max(wanted, 1) + 1) this.#add("twice", `"${payload}" came ${count} times`, undefined)
    }
  }

  #both(mine: Merged, other: Merged): void {
    if (mine.qos !== other.qos) this.#add("qos", mine.qos, other.qos, mine)
    if (![...mine.retains].some((each) => other.retains.has(each))) {
      this.#add("retain", [...mine.retains], [...other.retains], mine)
    }
    const [ids, otherIds] = [mine, other].map(({ identifiers }) => [...identifiers].toSorted((a, b) => a - b))
    if (String(ids) !== String(otherIds)) this.#add("identifiers", ids, otherIds, mine)
    const [list, otherList] = [mine, other].map(({ properties }) => [...properties].toSorted())
    if (String(list) !== String(otherList)) this.#add("properties", list, otherList, mine)
  }

  /** [MQTT-4.6.0-6] Within a topic and QoS. */
  #order(left: ReadonlyArray<Merged>, right: ReadonlyArray<Merged>): void {
    const orders = (list: ReadonlyArray<Merged>): string => {
      const counted = list.filter(({ payload }) => payload !== "" && !this.#scene.apart.has(payload))
      const groups = Map.groupBy(counted, (each) => `${each.topic} QoS ${this.#origin(each)}`)
      const lines = [...groups].map(([name, found]) => `${name}: ${found.map(({ payload }) => payload).join(", ")}`)
      return lines.toSorted().join("; ")
    }
    if (orders(left) !== orders(right)) this.#add("order", orders(left), orders(right))
  }

  /** Who published it, and at which QoS. */
  #origin({ payload }: Merged): string {
    const { qos, client } = this.#scene.origins.get(payload) ?? {}
    return `${qos} from ${client}`
  }

  #merge(seen: ReadonlyArray<Seen>): Map<string, Merged> {
    const found = new Map<string, Merged>()
    for (const each of seen) {
      if (each.type !== "publish") continue
      const payload = payloadOf(each.payload)
      const topic = this.#scene.short(each.topic)
      const key = `${topic} ${payload}`
      const fresh: Merged = {
        topic,
        payload,
        copies: 0,
        qos: 0,
        retains: new Set(),
        identifiers: new Set(),
        properties: new Set()
      }
      const merged = found.get(key) ?? fresh
      found.set(key, merged)
      merged.copies += 1
      merged.qos = Math.max(merged.qos, each.qos)
      merged.retains.add(each.retain)
      for (const id of propertiesOf(each.properties, "subscriptionIdentifier")) merged.identifiers.add(Number(id))
      merged.properties.add(forwarded(each.properties))
    }
    return found
  }
}

/** What of `list` is not in `other`, one for one. */
function without(list: ReadonlyArray<string>, other: ReadonlyArray<string>): ReadonlyArray<string> {
  const rest = [...other]
  return list.filter((each) => {
    const index = rest.indexOf(each)
    if (index >= 0) rest.splice(index, 1)
    return index < 0
  })
}

function show({ topic, payload, copies, qos, retains, identifiers }: Merged): string {
  return `${topic} "${payload}" QoS ${qos} retain ${[...retains]} identifiers [${[...identifiers]}], ${copies} times`
}

/** Properties that belong to the message: their order does not count, but that of User Properties does. */
function forwarded(list: Properties): string {
  const rest = list
    .filter(([name]) => name !== "subscriptionIdentifier" && name !== "topicAlias" && name !== "userProperty")
    // What is left of it depends on the second.
    .map(([name, value]) => (name === "messageExpiry" ? name : `${name}=${JSON.stringify(plainValue(value))}`))
  const pairs = propertiesOf(list, "userProperty").map((pair) => JSON.stringify(pair))
  return [...rest.toSorted(), ...pairs].join(" ")
}
const plainValue = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value

/** A packet other than a message, as far as it has to be equal. */
function plain(each: Seen): ReadonlyArray<string> {
  switch (each.type) {
    case "publish":
    case "pubrel":
      return []
    case "connack":
      return [`connack 0x${each.code.toString(16)} ${each.sessionPresent ? "session" : "no session"}`]
    case "puback":
    case "pubrec":
    case "pubcomp":
      return [`${each.type} 0x${(each.code === 0x10 ? 0 : each.code).toString(16)}`]
    case "suback":
    case "unsuback":
      return [`${each.type} ${each.codes.map((code) => `0x${code.toString(16)}`).join(" ")}`]
    case "disconnect":
    case "auth":
      return [`${each.type} 0x${each.code.toString(16)}`]
    case "closed":
      return ["closed"]
    case "broken":
      return [`broken: ${each.reason}`]
  }
}
