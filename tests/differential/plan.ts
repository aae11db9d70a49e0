/**
 * What a differential run does: sequences of what clients may do, as values, and how they are drawn.
 *
 * A sequence is valid by itself where `run.ts` leaves out what the state of the moment does not allow (a PUBLISH of a client that is not
 * connected); so every part of it may be taken away, and a sequence that shows a difference shrinks. Names are short here: `run.ts`
 * puts them below a level that no other run uses.
 */
import fc from "fast-check"
import type { Qos } from "../support/mqtt-packets.ts"

export const CLIENTS = 4
export type ClientVersion = 3 | 4 | 5

/** Properties of a message that a server forwards as they are. */
export interface Extras {
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: string
  readonly payloadFormat?: 0 | 1
  /** Seconds; never so few that it is over before the run is. */
  readonly messageExpiry?: number
  readonly userProperties: ReadonlyArray<readonly [string, string]>
}

export interface PlannedMessage {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly isEmpty: boolean
  /** Larger than the smallest Maximum Packet Size of a client; everything else is smaller. */
  readonly isLarge: boolean
  /** Sent with this alias, and without the name where the connection has given it that name already. */
  readonly alias?: number | undefined
  readonly extras: Extras
}

export interface PlannedWill {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  /** Seconds: none, 0, or so many that it never ends. */
  readonly delay?: number | undefined
  readonly extras: Extras
}

export interface PlannedFilter {
  readonly filter: string
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

/** What a client acknowledges: all; nothing; PUBLISH of QoS 2 but neither PUBLISH of QoS 1 nor PUBREL; all, with an error where it can. */
export type Acknowledging = "all" | "nothing" | "received" | "refusing"
/** Bytes; see `isLarge`. */
export const SMALL_PACKET = 300

export type Step =
  | {
      readonly kind: "connect"
      readonly client: number
      readonly clean: boolean
      readonly expiry: number
      readonly will?: PlannedWill | undefined
      readonly receiveMaximum?: number | undefined
      readonly topicAliasMaximum?: number | undefined
      readonly maximumPacketSize?: number | undefined
    }
  /** DISCONNECT; DISCONNECT 0x04; DISCONNECT that ends the session; no DISCONNECT. */
  | { readonly kind: "end"; readonly client: number; readonly how: "normal" | "with will" | "forget" | "cut" }
  | {
      readonly kind: "subscribe"
      readonly client: number
      readonly filters: ReadonlyArray<PlannedFilter>
      readonly identifier?: number | undefined
    }
  | { readonly kind: "unsubscribe"; readonly client: number; readonly filters: ReadonlyArray<string> }
  /** Pipelined; QoS 2 to its PUBCOMP. By the next client that is connected. */
  | { readonly kind: "publish"; readonly client: number; readonly messages: ReadonlyArray<PlannedMessage> }
  /** PUBLISH of QoS 2 and its PUBREC; where the client forgets the PUBREC it sends the PUBLISH again on its next connection. */
  | { readonly kind: "begin"; readonly client: number; readonly topic: string; readonly forgets: boolean }
  /** PUBREL for all that was begun. */
  | { readonly kind: "finish"; readonly client: number }
  | { readonly kind: "acknowledge"; readonly client: number; readonly what: Acknowledging }

export interface Sequence {
  /** Of each client. */
  readonly versions: ReadonlyArray<ClientVersion>
  readonly steps: ReadonlyArray<Step>
}

/** Topic names; `~` stands for the level of the run. */
export const TOPICS = ["~/a", "~/b", "~/a/b", "~/a/b/c", "~//b", "~/", "$~/a", "~/é"]
/** Topic filters; `!` stands for the client, so that each shared subscription has one member. */
const FILTERS = [
  ...["~/a", "~/b", "~/a/b", "~//b", "~/é", "~/+", "~/#", "~/a/#", "~/+/b", "~/a/+", "~/+/+", "~/+/b/c", "~/", "#"],
  ...["+/a", "+/+/b", "$~/#", "$~/a", "~/c"]
]
/** Those that most messages match, at times several of them. */
const WIDE = ["~/#", "~/+", "~/a/#", "+/a", "~/a", "~/a/b"]
const SHARED = ["$share/g!/~/a", "$share/g!/~/#", "$share/h!/~/+", "$share/h!/~/+/b"]

const client = fc.nat({ max: CLIENTS - 1 })
const qos = fc.constantFrom<Qos>(0, 1, 2)
const topic = fc.constantFrom("~/a", "~/a", "~/a/b", ...TOPICS)

const full: fc.Arbitrary<Extras> = fc.record(
  {
    contentType: fc.constantFrom("", "text/plain", "é"),
    responseTopic: fc.constantFrom("reply", "reply/é"),
    correlationData: fc.constantFrom("", "\u0000\u0001", "abc"),
    payloadFormat: fc.constantFrom<0 | 1>(0, 1),
    messageExpiry: fc.constantFrom(3_600, 4_294_967_295),
    userProperties: fc.array(fc.tuple(fc.constantFrom("a", "b", ""), fc.constantFrom("1", "2", "")), { maxLength: 3 })
  },
  { requiredKeys: ["userProperties"] }
)
const none = fc.constant<Extras>({ userProperties: [] })
const extras = fc.oneof({ weight: 3, arbitrary: none }, { weight: 1, arbitrary: full })

const message: fc.Arbitrary<PlannedMessage> = fc.record({
  topic,
  qos,
  retain: fc.constantFrom(false, false, true),
  isEmpty: fc.constantFrom(false, false, false, false, true),
  isLarge: fc.constantFrom(false, false, false, false, false, true),
  alias: fc.constantFrom(undefined, undefined, 1, 2, 10),
  extras
})
const will: fc.Arbitrary<PlannedWill> = fc.record({
  topic,
  qos,
  retain: fc.boolean(),
  delay: fc.constantFrom(undefined, 0, 3_600),
  extras
})

const connect: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("connect" as const),
  client,
  clean: fc.constantFrom(false, false, false, true),
  expiry: fc.constantFrom(0, 3_600, 3_600, 4_294_967_295),
  will: fc.oneof(fc.constant(undefined), fc.constant(undefined), will),
  receiveMaximum: fc.constantFrom(undefined, undefined, undefined, 1, 2, 5),
  topicAliasMaximum: fc.constantFrom(undefined, undefined, 1, 5),
  maximumPacketSize: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, SMALL_PACKET)
})
const retainHandling = fc.constantFrom<0 | 1 | 2>(0, 0, 1, 2)
const plain = fc.record({
  filter: fc.constantFrom(...WIDE, ...WIDE, ...FILTERS),
  qos,
  noLocal: fc.constant(false),
  retainAsPublished: fc.constant(false),
  retainHandling
})
const optional = fc.record({
  filter: fc.constantFrom(...WIDE, ...FILTERS),
  qos,
  noLocal: fc.constantFrom(false, false, true),
  retainAsPublished: fc.boolean(),
  retainHandling
})
const shared = fc.record({
  filter: fc.constantFrom(...SHARED),
  qos,
  noLocal: fc.constant(false),
  retainAsPublished: fc.boolean(),
  retainHandling
})
const filter: fc.Arbitrary<PlannedFilter> = fc.oneof(
  { weight: 4, arbitrary: plain },
  { weight: 3, arbitrary: optional },
  { weight: 1, arbitrary: shared }
)
const subscribe: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("subscribe" as const),
  client,
  filters: fc.array(filter, { minLength: 1, maxLength: 3 }),
  identifier: fc.constantFrom(undefined, undefined, 1, 2, 128, 268_435_455)
})
const unsubscribe: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("unsubscribe" as const),
  client,
  filters: fc.array(fc.constantFrom(...FILTERS, ...SHARED), { minLength: 1, maxLength: 3 })
})
const publish: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("publish" as const),
  client,
  messages: fc.array(message, { minLength: 1, maxLength: 4 })
})
const begin: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("begin" as const),
  client,
  topic,
  forgets: fc.boolean()
})
const finish: fc.Arbitrary<Step> = fc.record({ kind: fc.constant("finish" as const), client })
const end: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("end" as const),
  client,
  how: fc.constantFrom<"normal" | "with will" | "forget" | "cut">("normal", "with will", "forget", "cut", "cut")
})
const acknowledge: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("acknowledge" as const),
  client,
  what: fc.constantFrom<Acknowledging>("all", "nothing", "received", "refusing")
})

const step = fc.oneof(
  { weight: 5, arbitrary: connect },
  { weight: 3, arbitrary: end },
  { weight: 4, arbitrary: subscribe },
  { weight: 1, arbitrary: unsubscribe },
  { weight: 12, arbitrary: publish },
  { weight: 1, arbitrary: begin },
  { weight: 1, arbitrary: finish },
  { weight: 2, arbitrary: acknowledge }
)

/** Sequences that begin with clients that are there and have subscribed to something. */
export const sequences: fc.Arbitrary<Sequence> = fc
  .record({
    versions: fc.array(fc.constantFrom<ClientVersion>(5, 5, 5, 4, 4, 3), { minLength: CLIENTS, maxLength: CLIENTS }),
    first: fc.array(fc.tuple(connect, subscribe), { minLength: CLIENTS, maxLength: CLIENTS }),
    rest: fc.array(step, { minLength: 10, maxLength: 40, size: "max" })
  })
  .map(({ versions, first, rest }) => ({
    versions,
    steps: [...first.flatMap((steps, index) => steps.map((each) => ({ ...each, client: index }))), ...rest]
  }))
