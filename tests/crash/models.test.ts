/**
 * Each check of the harness can fail: short histories that break one promise each, told to the models without a broker. Beside each
 * stands the same history as it should be.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { DecodedOf } from "../support/mqtt-decode.ts"
import type { Properties, Qos } from "../support/mqtt-packets.ts"
import { batch, partitionOf } from "../support/record-batch.ts"
import { drawCast, type Persona } from "./cast.ts"
import { Ledger, type Message } from "./Ledger.ts"
import { LogModel } from "./LogModel.ts"
import { Presence } from "./Presence.ts"
import { Publisher } from "./Publisher.ts"
import { Receiver } from "./Receiver.ts"
import { RetainedModel } from "./RetainedModel.ts"
import { SessionModel, type Wish } from "./SessionModel.ts"
import { WillModel } from "./WillModel.ts"

const WISH: Wish = { filter: "a/#", qos: 2, noLocal: false, retainAsPublished: false, identifier: 7 }
const ID_7: Properties = [["subscriptionIdentifier", 7]]

/** A session with one subscription that stands, a publisher and everything around them. */
class Stage {
  readonly ledger = new Ledger()
  readonly retained = new RetainedModel(this.ledger, ["a/retained"])
  readonly session = new SessionModel(this.ledger, this.retained, { clientId: "sub-1", version: 5 }, 1)
  readonly receiver = new Receiver(
    this.ledger,
    () => 0,
    () => {}
  )

  subscribe(wish: Partial<Wish> = {}): this {
    this.session.granted(this.session.asked({ ...WISH, ...wish }))
    return this
  }

  message(qos: Qos = 2, topic = "a/b", retain = false, publisher = "pub-1"): Message {
    const made = this.ledger.message({ publisher, source: "mqtt", topic, qos, retain }, 0)
    this.ledger.sending(made)
    return made
  }

  acknowledge(message: Message): Message {
    message.acknowledgedAt = this.ledger.moment()
    this.session.taken(message, message.sentAt)
    return message
  }

  come(message: Message, fields: Partial<DecodedOf<"publish">> = {}): void {
    const { topic, payload, qos } = message
    const rest = { id: message.id, retain: false, dup: false, properties: ID_7 }
    this.receiver.publish(this.session, { type: "publish", topic, payload, qos, ...rest, ...fields })
  }

  /** A whole QoS 2 delivery. */
  comeWhole(message: Message): void {
    this.come(message)
    this.receiver.pubrel(this.session, message.id)
  }
}

interface Case {
  readonly name: string
  /** undefined = nothing is wrong. */
  readonly says: RegExp | undefined
  readonly history: (stage: Stage) => void
}

const CASES: ReadonlyArray<Case> = [
  {
    name: "acknowledged, and it came",
    says: undefined,
    history: (stage) => stage.subscribe().comeWhole(stage.acknowledge(stage.message()))
  },
  {
    name: "acknowledged, and it never came",
    says: /lost: sub-1\/session-1 never got .*#1 /,
    history: (stage) => void stage.subscribe().acknowledge(stage.message())
  },
  {
    name: "acknowledged before anybody subscribed, and it never came",
    says: undefined,
    history: (stage) => {
      const message = stage.message()
      stage.subscribe().acknowledge(message)
    }
  },
  {
    name: "acknowledged while SUBSCRIBE was not answered",
    says: undefined,
    history: (stage) => {
      stage.session.asked(WISH)
      stage.acknowledge(stage.message())
    }
  },
  {
    name: "a subscription that was replaced loses nothing",
    says: /lost: /,
    history: (stage) => {
      stage.subscribe().acknowledge(stage.message())
      stage.subscribe({ qos: 1 })
    }
  },
  {
    name: "what waits may go with an UNSUBSCRIBE",
    says: undefined,
    history: (stage) => {
      stage.subscribe().acknowledge(stage.message())
      stage.session.leaving(WISH.filter)
    }
  },
  {
    name: "but not what another filter wants, too",
    says: /lost: /,
    history: (stage) => {
      stage.subscribe().subscribe({ filter: "a/+" }).acknowledge(stage.message())
      stage.session.leaving(WISH.filter)
    }
  },
  {
    name: "QoS 2 twice, under another packet identifier",
    says: /came again with QoS 2/,
    history: (stage) => {
      const message = stage.subscribe().message()
      stage.come(message)
      stage.session.connected()
      stage.receiver.reset()
      stage.come(message, { id: 99, dup: true })
    }
  },
  {
    name: "QoS 2 again after it was released",
    says: /came again with QoS 2/,
    history: (stage) => {
      const message = stage.subscribe().message()
      stage.comeWhole(message)
      stage.session.connected()
      stage.receiver.reset()
      stage.come(message, { dup: true })
    }
  },
  {
    name: "QoS 2 sent again, held, with DUP",
    says: undefined,
    history: (stage) => {
      const message = stage.subscribe().message()
      stage.come(message)
      stage.session.connected()
      stage.receiver.reset()
      stage.come(message, { dup: true })
    }
  },
  {
    name: "QoS 2 sent again without DUP",
    says: /sent again without DUP/,
    history: (stage) => {
      const message = stage.subscribe().message()
      stage.come(message)
      stage.session.connected()
      stage.receiver.reset()
      stage.come(message)
    }
  },
  {
    name: "a packet identifier for another message before PUBCOMP",
    says: /used again before PUBCOMP/,
    history: (stage) => {
      stage.subscribe().come(stage.message(), { id: 5 })
      stage.session.connected()
      stage.receiver.reset()
      stage.come(stage.message(), { id: 5, dup: true })
    }
  },
  {
    name: "QoS 1 again on the next connection",
    says: undefined,
    history: (stage) => {
      const message = stage.subscribe().message(1)
      stage.come(message)
      stage.session.connected()
      stage.come(message, { dup: true })
    }
  },
  {
    name: "QoS 1 stored twice",
    says: /came 2 times on one connection, sent 1 times/,
    history: (stage) => {
      const message = stage.subscribe().message(1)
      stage.come(message)
      stage.come(message, { id: 50 })
    }
  },
  {
    name: "out of order",
    says: /came after the later message #2/,
    history: (stage) => {
      const [first, second] = [stage.subscribe().message(1), stage.message(1)]
      stage.come(second)
      stage.come(first)
    }
  },
  {
    name: "another publisher's order is its own",
    says: undefined,
    history: (stage) => {
      const [first, second] = [stage.subscribe().message(1), stage.message(1, "a/b", false, "pub-2")]
      stage.come(second)
      stage.come(first)
    }
  },
  {
    name: "a message of the session before",
    says: /acknowledged before this session began/,
    history: (stage) => {
      const message = stage.acknowledge(stage.message())
      const next = new SessionModel(stage.ledger, stage.retained, { clientId: "sub-1", version: 5 }, 2)
      next.granted(next.asked(WISH))
      stage.receiver.publish(next, {
        type: "publish",
        ...{ topic: message.topic, payload: message.payload, qos: 2, retain: false, dup: false, id: 1 },
        properties: ID_7
      })
    }
  },
  {
    name: "never subscribed to",
    says: /never subscribed to/,
    history: (stage) => stage.subscribe().come(stage.message(1, "b/c"))
  },
  {
    name: "sent after the UNSUBACK",
    says: /after its UNSUBACK/,
    history: (stage) => {
      stage.subscribe().session.leaving(WISH.filter)()
      stage.come(stage.message(1))
    }
  },
  {
    name: "a subscription that lost its QoS",
    says: /was to come with QoS 2/,
    history: (stage) => stage.subscribe().come(stage.message(2), { qos: 1 })
  },
  {
    name: "a subscription that lost its identifier",
    says: /has the subscription identifiers \[\], its subscriptions \[7\]/,
    history: (stage) => stage.subscribe().come(stage.message(1), { properties: [] })
  },
  {
    name: "an identifier that nobody gave",
    says: /has the subscription identifier 8/,
    history: (stage) => stage.subscribe().come(stage.message(1), { properties: [["subscriptionIdentifier", 8]] })
  },
  {
    name: "a subscription that lost retain as published",
    says: /retain as published/,
    history: (stage) => stage.subscribe({ retainAsPublished: true }).come(stage.message(1, "a/retained", true))
  },
  {
    name: "a subscription that lost no local",
    says: /it said no local/,
    history: (stage) => stage.subscribe({ noLocal: true }).come(stage.message(1, "a/b", false, "sub-1"))
  },
  {
    name: "as a retained message, and live",
    says: undefined,
    history: (stage) => {
      const message = stage.subscribe().message(2, "a/retained", true)
      stage.come(message, { retain: true })
      stage.come(message, { id: 50 })
    }
  },
  {
    name: "bytes that changed",
    says: /payload of .*#1 .* changed/,
    history: (stage) => stage.subscribe().come(stage.message(1), { payload: Buffer.from("1 pub-2 ") })
  },
  {
    name: "more than its Receive Maximum",
    says: /its Receive Maximum is 1/,
    history: (stage) => {
      stage.receiver.receiveMaximum = 1
      stage.subscribe().come(stage.message())
      stage.come(stage.message())
    }
  }
]

for (const { name, says, history } of CASES) {
  test(`a session: ${name}`, () => {
    const stage = new Stage()
    history(stage)
    stage.session.checkSettled()
    const told = stage.ledger.violations.map(({ message }) => message)
    if (says === undefined) assert.deepEqual(told, [])
    else assert.match(told[0] ?? "nothing", says)
  })
}

const tells = (ledger: Ledger, says: RegExp): void => {
  assert.match(ledger.violations.map(({ message }) => message).join("\n") || "nothing", says)
  ledger.violations.length = 0
}
const isQuiet = (ledger: Ledger): void => assert.deepEqual(ledger.violations, [])

test("what is retained: the newest acknowledged value, or one sent behind it", () => {
  const stage = new Stage()
  const { retained, ledger } = stage
  const [first, second, third] = [1, 2, 3].map(() => stage.message(1, "a/retained", true))
  if (first === undefined || second === undefined || third === undefined) throw new Error("three messages")
  const writes = [first, second, third].map((message) => retained.writing("a/retained", message))
  for (const write of writes.slice(0, 2)) write.isAcknowledged = true
  retained.found("a/retained", [2])
  retained.found("a/retained", [3])
  isQuiet(ledger)
  retained.found("a/retained", [1])
  tells(ledger, /is #1, it can be #2, #3/)
  retained.found("a/retained", [2, 3])
  tells(ledger, /is #2, #3/)
  retained.found("a/retained", [])
  tells(ledger, /nothing is retained/)
  retained.writing("a/retained", undefined)
  retained.found("a/retained", [])
  isQuiet(ledger)
  const clearing = retained.writing("a/retained", undefined)
  clearing.isAcknowledged = true
  retained.found("a/retained", [3])
  tells(ledger, /is #3, it can be nothing/)
})

test("packet identifiers and answers of a publisher", () => {
  const { ledger, retained } = new Stage()
  const taken: Array<number> = []
  const publisher = new Publisher(
    ledger,
    retained,
    { clientId: "pub-1", version: 5 },
    () => {},
    ({ id }) => taken.push(id)
  )
  publisher.windowMax = 9
  const wanted = { topic: "a/b", retain: false, isClearing: false, padding: 0 }
  for (const qos of [1, 1, 2] as const) publisher.publish({ ...wanted, qos })
  publisher.acknowledged("puback", 2, 0)
  isQuiet(ledger)
  publisher.acknowledged("puback", 1, 0)
  tells(ledger, /came after that of a later message/)
  publisher.acknowledged("puback", 1, 0)
  tells(ledger, /answers nothing/)
  publisher.acknowledged("pubcomp", 3, 0)
  tells(ledger, /pubcomp 3 .* where pubrec was due/)
  publisher.acknowledged("pubrec", 3, 0x97)
  tells(ledger, /refuses/)
  publisher.acknowledged("pubcomp", 3, 0)
  isQuiet(ledger)
  assert.deepEqual([taken, publisher.size], [[2, 1, 3], 0])
})

const persona = (sessionExpiry: number, version: 4 | 5 = 5): Persona => ({
  ...drawCast(1, "persistent").personas[0],
  ...({ clientId: "sub-1", version, sessionExpiry } as Persona)
})

test("session present", () => {
  const ledger = new Ledger()
  const presence = new Presence(ledger, persona(3_600))
  const connect = (isPresent: boolean, clean = false): void => {
    presence.connecting(clean)
    presence.accepted(isPresent)
    presence.left(false)
    presence.killing()
    presence.restarted()
  }
  connect(false)
  connect(true)
  isQuiet(ledger)
  connect(false)
  tells(ledger, /session present is false, the session is present/)
  connect(true, true)
  tells(ledger, /session present is true, the session is absent/)
  connect(true)
  isQuiet(ledger)
})

test("a session that expired while nobody ran must be gone", async () => {
  const ledger = new Ledger()
  const presence = new Presence(ledger, persona(1))
  presence.connecting(false)
  presence.accepted(false)
  await new Promise((done) => setTimeout(done, 10))
  presence.left(true)
  await new Promise((done) => setTimeout(done, 2_600))
  presence.killing()
  presence.restarted()
  presence.connecting(false)
  presence.accepted(true)
  tells(ledger, /session present is true, the session is absent/)
})

test("wills: due once, or called off", () => {
  const ledger = new Ledger()
  const due: Array<number> = []
  const wills = new WillModel(ledger, ({ id }) => due.push(id))
  const given = (delay: number): Message => {
    const fields = { publisher: "will-1", source: "will", topic: "wills/will-1", qos: 2, retain: false } as const
    const message = ledger.message(fields, 0)
    wills.begin(message, delay)
    wills.accepted(true, ledger.nowMs)
    return message
  }
  const now = given(0)
  wills.lost(false)
  const delayed = given(30)
  wills.lost(false)
  assert.deepEqual(due, [now.id])
  wills.killing()
  wills.restarted()
  wills.beginWithout()
  wills.accepted(true, ledger.nowMs)
  assert.match(delayed.forbidden, /went on before its delay/)
  const ended = given(30)
  wills.lost(true)
  wills.beginWithout()
  wills.accepted(false, ledger.nowMs)
  assert.deepEqual([due, ended.forbidden], [[now.id, ended.id], ""])
  const called = given(0)
  wills.left()
  wills.beginWithout()
  wills.accepted(true, ledger.nowMs)
  assert.match(called.forbidden, /said DISCONNECT/)
  assert.deepEqual(due, [now.id, ended.id])
})

test("partitions: nothing that was read or acknowledged goes, moves or comes twice", () => {
  const cast = drawCast(1, "persistent")
  const telemetry = cast.topics.find(({ name }) => name === "telemetry")
  if (telemetry === undefined) throw new Error("no such topic")
  const name = "devices/a/telemetry"
  const partition = partitionOf(name, telemetry.partitions)
  const make = (): { ledger: Ledger; log: LogModel; message: (qos?: Qos) => Message } => {
    const ledger = new Ledger()
    const message = (qos: Qos = 2): Message => {
      const made = ledger.message({ publisher: "pub-1", source: "mqtt", topic: name, qos, retain: false }, 0)
      ledger.sending(made)
      return made
    }
    return { ledger, log: new LogModel(ledger, cast), message }
  }
  const bytes = (messages: ReadonlyArray<Message>, baseOffset = 0, crcError = 0): Buffer =>
    batch(
      messages.map(({ payload }) => ({ key: name, value: payload })),
      { baseOffset, timestamp: 1, crcError }
    )
  const table: ReadonlyArray<readonly [RegExp | undefined, (stage: ReturnType<typeof make>) => void]> = [
    [
      undefined,
      ({ log, message }) => {
        const [one, two] = [message(), message()]
        log.acknowledged(one)
        log.read("telemetry", partition, bytes([one]))
        log.read("telemetry", partition, Buffer.concat([bytes([one]), bytes([two], 1)]))
        log.checkRead(false)
      }
    ],
    [
      /was acknowledged and is not in telemetry/,
      ({ log, message }) => {
        log.acknowledged(message())
        log.read("telemetry", partition, Buffer.alloc(0))
        log.checkRead(false)
      }
    ],
    [
      /ends at offset 1; it was read up to 2/,
      ({ log, message }) => {
        const both = [message(), message()]
        log.read("telemetry", partition, bytes(both))
        log.read("telemetry", partition, bytes(both.slice(0, 1)))
      }
    ],
    [
      /offset 0 was ".*", now "/,
      ({ log, message }) => {
        log.read("telemetry", partition, bytes([message()]))
        log.read("telemetry", partition, bytes([message()]))
      }
    ],
    [
      /stored 2 times, sent 1/,
      ({ log, message }) => {
        const one = message()
        log.read("telemetry", partition, bytes([one, one]))
      }
    ],
    [
      /lies behind the later message #2/,
      ({ log, message }) => {
        const [one, two] = [message(), message()]
        log.read("telemetry", partition, bytes([two, one]))
      }
    ],
    [/offset 1 where 0 was due/, ({ log, message }) => log.read("telemetry", partition, bytes([message()], 1))],
    [/has a wrong CRC/, ({ log, message }) => log.read("telemetry", partition, bytes([message()], 0, 1))],
    [/had 1 partitions, now is gone|partitions, now is gone/, ({ log }) => log.listed(new Map())],
    [
      /had the id 1, now 2/,
      ({ log }) => {
        log.identified("telemetry", "1")
        log.identified("telemetry", "2")
      }
    ],
    [
      /where kafka message #1 .* was acknowledged/,
      ({ log, message, ledger }) => {
        const fields = { publisher: "producer-0/1/0", source: "kafka", topic: name, qos: 1, retain: false } as const
        const produced = ledger.message(fields, 0)
        log.producing({ message: produced, where: `telemetry/${partition}`, key: name })
        log.acknowledged(produced, 0)
        log.read("telemetry", partition, bytes([message()]))
      }
    ],
    [
      /was told for .*#2 .* and for .*#1 /,
      ({ log, ledger }) => {
        for (let count = 0; count < 2; count++) {
          const fields = { publisher: "producer-0/1/0", source: "kafka", topic: name, qos: 1, retain: false } as const
          const produced = ledger.message(fields, 0)
          log.producing({ message: produced, where: `telemetry/${partition}`, key: name })
          log.acknowledged(produced, 0)
        }
      }
    ]
  ]
  for (const [says, history] of table) {
    const stage = make()
    history(stage)
    if (says === undefined) isQuiet(stage.ledger)
    else tells(stage.ledger, says)
  }
})
