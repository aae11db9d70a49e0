/** Shared subscriptions: MQTT 5.0 section 4.8.2. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Filter, type Properties, propertyOf, type Version } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const KEPT: Properties = [["sessionExpiry", 1_000]]

brokerSuite("shared subscriptions", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (list: Properties = [], clientId = uniqueId(), clean = true): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version: 5, clientId, clean, properties: list })
  const kept = (clientId: string, clean = false): Promise<ConnectedMqtt> => connect(KEPT, clientId, clean)
  const joined = async (client: RawMqtt, filter: string, qos: 0 | 1 | 2 = 1): Promise<void> => {
    await client.subscribe(filter, qos)
  }
  /** Publishes `count` messages with QoS `qos`, each to its last acknowledgement. */
  const publish = async (topic: string, count: number, qos: 0 | 1 | 2 = 1, from = 0): Promise<void> => {
    const publisher = await connect()
    for (let number = from; number < from + count; number++) {
      await publisher.publishWhole({ topic, payload: `${number}`, qos, id: 1 + (number % 1_000) })
    }
    await publisher.disconnect()
  }
  /** What is there for each of `clients`, acknowledged. */
  const takeAll = async (clients: ReadonlyArray<RawMqtt>, count: number): Promise<Array<Array<string>>> => {
    const got = clients.map((): Array<string> => [])
    const end = performance.now() + 5_000
    while (got.flat().length < count && performance.now() < end) {
      for (const [index, client] of clients.entries()) {
        for (const packet of client.drain()) {
          if (packet.type === "publish") {
            got[index]?.push(text(packet.payload))
            if (packet.qos === 1) client.ack("puback", packet.id)
            if (packet.qos === 2) client.ack("pubrec", packet.id)
          } else if (packet.type === "pubrel") client.ack("pubcomp", packet.id)
        }
      }
      await sleep(5)
    }
    return got
  }

  for (const version of [3, 4, 5] as const satisfies ReadonlyArray<Version>) {
    for (const qos of [0, 1, 2] as const) {
      test(`${version}: QoS ${qos}: each message comes to one member of the group, in turn, and to others besides`, async () => {
        const level = uniqueLevel()
        const members: Array<RawMqtt> = []
        for (let number = 0; number < 3; number++) {
          const member = await RawMqtt.connect(broker().mqtt, { version, clientId: uniqueId() })
          await joined(member, `$share/g/${level}/+`, qos)
          members.push(member)
        }
        const other = await connect()
        await joined(other, `$share/h/${level}/+`, qos)
        const plain = await connect()
        await plain.subscribe(`${level}/#`, qos)
        await publish(`${level}/a`, 30, qos)
        const got = await takeAll([...members, other, plain], 90)
        const [one = [], two = [], three = [], all = [], open = []] = got
        expect([...one, ...two, ...three].map(Number).sort((a, b) => a - b)).toEqual([...Array(30).keys()])
        expect([one.length, two.length, three.length]).toEqual([10, 10, 10])
        expect(all.map(Number)).toEqual([...Array(30).keys()])
        expect(open.map(Number)).toEqual([...Array(30).keys()])
        await sleep(50)
        for (const member of members) expect(member.drain().filter(({ type }) => type === "publish")).toEqual([])
      })
    }
  }

  test("a member's own options hold: QoS, subscription identifier, retain as published", async () => {
    const level = uniqueLevel()
    const member = await connect()
    const filters: ReadonlyArray<Filter> = [{ filter: `$share/g/${level}`, qos: 1, retainAsPublished: true }]
    await member.subscribe(filters, 0, [["subscriptionIdentifier", 77]])
    const publisher = await connect()
    await publisher.publishWhole({ topic: level, payload: "x", qos: 2, retain: true })
    const [message] = await member.messages(1)
    expect([message?.qos, message?.retain]).toEqual([1, true])
    expect(propertyOf(message?.properties ?? [], "subscriptionIdentifier")).toBe(77)
    // The same filter again replaces the subscription.
    await member.subscribe([{ filter: `$share/g/${level}`, qos: 2 }])
    await publisher.publishWhole({ topic: level, payload: "y", qos: 2, retain: true })
    const [second] = await member.messages(1)
    expect([second?.qos, second?.retain, text(second?.payload ?? new Uint8Array())]).toEqual([2, false, "y"])
    expect(propertyOf(second?.properties ?? [], "subscriptionIdentifier")).toBeUndefined()
  })

  test("no retained message comes for it [MQTT 4.8.2]", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    await publisher.publishWhole({ topic: level, payload: "kept", qos: 1, retain: true })
    const member = await connect()
    await joined(member, `$share/g/${level}`)
    await member.quiet()
  })

  test("what a group's filter says is its own: $share/g/a and $share/g/a/# are two groups", async () => {
    const level = uniqueLevel()
    const member = await connect()
    await joined(member, `$share/g/${level}`)
    await joined(member, `$share/g/${level}/#`)
    await publish(level, 1)
    expect((await member.messages(2)).map(({ payload }) => text(payload))).toEqual(["0", "0"])
  })

  test("UNSUBSCRIBE takes a member out; a filter that is not there is told so", async () => {
    const level = uniqueLevel()
    const [stays, leaves] = [await connect(), await connect()]
    await joined(stays, `$share/g/${level}`)
    await joined(leaves, `$share/g/${level}`)
    leaves.send(encode.unsubscribe(5, 9, [`$share/g/${level}`, `$share/other/${level}`]))
    expect((await leaves.expect("unsuback")).codes).toEqual([0, 0x11])
    await publish(level, 4)
    expect((await stays.messages(4)).map(({ payload }) => text(payload))).toEqual(["0", "1", "2", "3"])
    await leaves.quiet()
  })

  test("QoS 1 that a member has not acknowledged goes to another when its connection ends", async () => {
    const level = uniqueLevel()
    const [first, second] = [await kept(uniqueId()), await connect()]
    await joined(first, `$share/g/${level}`)
    await publish(level, 3)
    await first.messages(3, { acknowledge: false })
    await joined(second, `$share/g/${level}`)
    await second.quiet()
    first.cut()
    const again = await second.messages(3)
    expect(again.map(({ payload }) => text(payload))).toEqual(["0", "1", "2"])
  })

  test("QoS 2 that a durable member has is completed there, and goes to nobody else [MQTT-4.8.2-4]", async () => {
    const level = uniqueLevel()
    const id = uniqueId()
    const [first, second] = [await kept(id), await connect()]
    await joined(first, `$share/g/${level}`, 2)
    await publish(level, 1, 2)
    const [message] = await first.messages(1, { acknowledge: false })
    await joined(second, `$share/g/${level}`, 2)
    first.cut()
    await second.quiet(200)
    const back = await kept(id)
    expect(back.connack.sessionPresent).toBe(true)
    const [resent] = await back.messages(1)
    expect([resent?.dup, resent?.id, text(resent?.payload ?? new Uint8Array())]).toEqual([true, message?.id, "0"])
  })

  test("QoS 2 of a member whose session ends goes to nobody else [MQTT-4.8.2-5]", async () => {
    const level = uniqueLevel()
    const [first, second] = [await connect(), await connect()]
    await joined(first, `$share/g/${level}`, 2)
    await publish(level, 1, 2)
    await first.messages(1, { acknowledge: false })
    await joined(second, `$share/g/${level}`, 2)
    first.cut()
    await second.quiet(300)
  })

  test("a message that is refused by PUBACK or PUBREC is discarded [MQTT-4.8.2-6]", async () => {
    const level = uniqueLevel()
    const [first, second] = [await connect(), await connect()]
    await joined(first, `$share/g/${level}`, 2)
    await publish(level, 1, 1)
    await publish(level, 1, 2, 1)
    const [one, two] = await first.messages(2, { acknowledge: false })
    first.ack("puback", one?.id ?? 0, 0x80)
    first.ack("pubrec", two?.id ?? 0, 0x97)
    await joined(second, `$share/g/${level}`, 2)
    await first.quiet()
    first.cut()
    await second.quiet(200)
  })

  test("while all members are away messages wait, and come to whoever is back first", async () => {
    const level = uniqueLevel()
    const ids = [uniqueId(), uniqueId()]
    for (const id of ids) {
      const member = await kept(id)
      await joined(member, `$share/g/${level}/#`, 2)
      await member.disconnect(0)
    }
    await publish(`${level}/a`, 40, 1)
    await publish(`${level}/b`, 40, 2, 40)
    const back = await kept(ids[1] ?? "")
    const got = await takeAll([back], 80)
    // Of each topic name in order: two shards may have them.
    const numbers = got[0]?.map(Number) ?? []
    const wanted = [...Array(80).keys()]
    expect(numbers.filter((each) => each < 40)).toEqual(wanted.slice(0, 40))
    expect(numbers.filter((each) => each >= 40)).toEqual(wanted.slice(40))
    const late = await kept(ids[0] ?? "")
    await late.quiet()
  })

  test("when the last member's session ends the group has ended: nothing waits for one that comes later", async () => {
    const level = uniqueLevel()
    const id = uniqueId()
    const first = await kept(id)
    await joined(first, `$share/g/${level}`)
    await first.disconnect(0)
    await publish(level, 2)
    // A clean start ends the session.
    const fresh = await kept(id, true)
    await joined(fresh, `$share/g/${level}`)
    await fresh.quiet()
    await publish(level, 1, 1, 7)
    expect((await fresh.messages(1)).map(({ payload }) => text(payload))).toEqual(["7"])
  })

  test("a member that takes no more is passed over, and what it takes is bounded by its Receive Maximum", async () => {
    const level = uniqueLevel()
    const slow = await connect([["receiveMaximum", 2]])
    const quick = await connect()
    await joined(slow, `$share/g/${level}`)
    await joined(quick, `$share/g/${level}`)
    await publish(level, 20)
    const got = await takeAll([quick], 18)
    expect(got[0]?.length).toBe(18)
    expect((await slow.messages(2, { acknowledge: false })).length).toBe(2)
    await slow.quiet()
  })

  test("a client that publishes to its own group may get the message itself", async () => {
    const level = uniqueLevel()
    const member = await connect()
    await joined(member, `$share/g/${level}`)
    await member.publishWhole({ topic: level, payload: "own", qos: 1 }).catch(() => {})
    expect((await member.messages(1)).map(({ payload }) => text(payload))).toEqual(["own"])
  })

  test("what has expired while all were away does not come", async () => {
    const level = uniqueLevel()
    const id = uniqueId()
    const member = await kept(id)
    await joined(member, `$share/g/${level}`)
    await member.disconnect(0)
    const publisher = await connect()
    await publisher.publishWhole({ topic: level, payload: "old", qos: 1, properties: [["messageExpiry", 1]] })
    await publisher.publishWhole({ topic: level, payload: "new", qos: 1, properties: [["messageExpiry", 100]] })
    await sleep(1_300)
    const back = await kept(id)
    const [message] = await back.messages(1)
    expect(text(message?.payload ?? new Uint8Array())).toBe("new")
    expect(propertyOf(message?.properties ?? [], "messageExpiry")).toBeLessThanOrEqual(99)
  })

  test("`$` names are no match for a shared filter that begins with a wildcard", async () => {
    const level = uniqueLevel()
    const member = await connect()
    await joined(member, `$share/${level}/+/${level}`)
    await publish(`$x/${level}`, 1)
    await publish(`x/${level}`, 1, 1, 5)
    expect((await member.messages(1)).map(({ payload }) => text(payload))).toEqual(["5"])
  })
})

brokerSuite(
  "shared subscriptions by topic",
  { set: { "protocol-mqtt.shared_subscription_strategy": "hash_topic" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    test("the messages of one topic name go to one member, in order", async () => {
      const level = uniqueLevel()
      const members: Array<RawMqtt> = []
      for (let number = 0; number < 3; number++) {
        const member = await RawMqtt.connect(broker().mqtt, { version: 5, clientId: uniqueId() })
        await member.subscribe(`$share/g/${level}/+`, 1)
        members.push(member)
      }
      const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
      for (let number = 0; number < 60; number++) {
        await publisher.publishWhole({ topic: `${level}/${number % 12}`, payload: `${number}`, qos: 1, id: 1 + number })
      }
      await sleep(200)
      const owners = new Map<string, number>()
      let count = 0
      for (const [index, member] of members.entries()) {
        const seen = new Map<string, number>()
        for (const packet of member.drain()) {
          if (packet.type !== "publish") continue
          count += 1
          member.ack("puback", packet.id)
          expect(owners.get(packet.topic) ?? index).toBe(index)
          owners.set(packet.topic, index)
          expect(Number(text(packet.payload))).toBeGreaterThan(seen.get(packet.topic) ?? -1)
          seen.set(packet.topic, Number(text(packet.payload)))
        }
      }
      expect([count, owners.size]).toEqual([60, 12])
    })
  }
)

brokerSuite("without shared subscriptions", { set: { "protocol-mqtt.shared_subscriptions": "false" } }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  test("they are announced as absent and refused with 0x9E, other filters of the packet are not", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    expect(propertyOf(client.connack.properties, "sharedAvailable")).toBe(0)
    client.send(encode.subscribe(5, 1, [{ filter: "$share/g/a" }, { filter: "a" }]))
    expect((await client.expect("suback")).codes).toEqual([0x9e, 0])
  })
})
