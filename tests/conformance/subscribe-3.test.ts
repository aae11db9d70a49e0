/** Topic names, topic filters and shared subscriptions: MQTT 5.0 sections 4.7 and 4.8.2, MQTT 3.1.1 section 4.7. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import type { DecodedOf } from "../support/mqtt-decode.ts"
import { encode, type Filter, type Properties, type Qos, textOf, type Version } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]
const KEPT: Properties = [["sessionExpiry", 1_000]]

brokerSuite("conformance of topics", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, { version })
  const kept = (clientId: string, clean = false): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version: 5, clientId, clean, properties: KEPT })

  /** Sends bytes that end the connection; version 5 is told why. */
  async function refused(version: Version, bytes: Uint8Array): Promise<void> {
    const client = await connect(version)
    const answers = await client.answersUntilClosed(bytes)
    expect(answers.map(({ type }) => type)).toEqual(version === 5 ? ["disconnect"] : [])
  }
  async function codesOf(version: Version, filters: ReadonlyArray<string>): Promise<ReadonlyArray<number>> {
    const client = await connect(version)
    client.send(
      encode.subscribe(
        version,
        1,
        filters.map((filter) => ({ filter, qos: 1 }))
      )
    )
    const { codes } = await client.expect("suback")
    return codes
  }
  /** Which of `names` the filter gives, live and retained; `~` stands for a level of this call's own. */
  async function matched(
    version: Version,
    filter: string,
    names: ReadonlyArray<string>
  ): Promise<ReadonlyArray<string>> {
    const level = uniqueLevel()
    const real = (text: string): string => text.replaceAll("~", level)
    const publisher = await connect(version)
    const publish = async (retain: boolean): Promise<void> => {
      for (const topic of names) await publisher.publishWhole({ topic: real(topic), payload: topic, qos: 1, retain })
    }
    /** What comes, until nothing more does for a while: what is retained on several shards comes from each in its time. */
    const take = async (client: RawMqtt): Promise<ReadonlyArray<string>> => {
      const found: Array<DecodedOf<"publish">> = []
      for (let quiet = 0; quiet < 4; quiet++) {
        await Bun.sleep(25)
        const more = client.drain().flatMap((each) => (each.type === "publish" ? [each] : []))
        if (more.length > 0) quiet = 0
        found.push(...more)
      }
      client.cut()
      return found
        .filter(({ topic }) => topic.includes(level))
        .map(({ payload }) => textOf(payload))
        .toSorted()
    }
    const [live, late] = [await connect(version), await connect(version)]
    await live.subscribe(real(filter), 1)
    await publish(false)
    const found = await take(live)
    await publish(true)
    await late.subscribe(real(filter), 1)
    expect(await take(late)).toEqual(found)
    for (const topic of names) publisher.publish({ topic: real(topic), retain: true })
    return found
  }

  test("a wildcard in a topic name ends the connection [MQTT-4.7.0-1] [MQTT-4.7.1-1 of 3.1.1]", async () => {
    for (const version of VERSIONS) {
      for (const topic of ["+", "#", "a/+/b", "a/b#", "a/#"]) await refused(version, encode.publish(version, { topic }))
    }
  })

  test("# stands alone in the last level and matches that level, those below and the one above [MQTT-4.7.1-1] [MQTT-4.7.1-2 of 3.1.1]", async () => {
    const check = async (version: Version): Promise<void> => {
      const wrong = ["a#", "a/b#", "a/#/b", "#/a", "##", "a/#/", "/#a"]
      for (const code of await codesOf(version, wrong)) expect(code).toBe(version === 5 ? 0x8f : 0x80)
      expect(await codesOf(version, ["#", "/#", "a/#", "a/+/#"])).toEqual([1, 1, 1, 1])
      const names = ["~/a", "~/a/", "~/a/b", "~/a/b/c", "~/ab", "~/b", "a/~"]
      expect(await matched(version, "~/a/#", names)).toEqual(["~/a", "~/a/", "~/a/b", "~/a/b/c"])
      expect(await matched(version, "~/+/c/#", ["~/x/c", "~/x/c/d", "~/x/d", "~/c"])).toEqual(["~/x/c", "~/x/c/d"])
    }
    await Promise.all(VERSIONS.map(check))
    // And where other filters begin as this one does.
    const [client, publisher, level] = [await connect(), await connect(), uniqueLevel()]
    await client.subscribe([`${level}/a/#`, `${level}/x/+`, `${level}/#`].map((filter) => ({ filter, qos: 1 })))
    const names = [`${level}`, `${level}/a`, `${level}/a/b`, `${level}/x`]
    for (const topic of names) await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    expect((await client.messages(4)).map(({ topic }) => topic).toSorted()).toEqual(names)
    client.send(encode.unsubscribe(5, 1, [`${level}/#`]))
    await client.expect("unsuback")
    for (const topic of names) await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    expect((await client.messages(2)).map(({ topic }) => topic).toSorted()).toEqual(names.slice(1, 3))
  })

  test("+ stands alone in any level and matches that level, empty or not [MQTT-4.7.1-2] [MQTT-4.7.1-3 of 3.1.1]", async () => {
    const check = async (version: Version): Promise<void> => {
      const wrong = ["a+", "+a", "a/b+/c", "a/+b", "++", "+/a+"]
      for (const code of await codesOf(version, wrong)) expect(code).toBe(version === 5 ? 0x8f : 0x80)
      expect(await codesOf(version, ["+", "+/a", "/+", "a/+/b", "+/+"])).toEqual([1, 1, 1, 1, 1])
      expect(await matched(version, "~/+", ["~/a", "~/", "~/a/b", "x/~"])).toEqual(["~/", "~/a"])
      expect(await matched(version, "+/~", ["a/~", "/~", "a/b/~"])).toEqual(["/~", "a/~"])
      expect(await matched(version, "~/+/b", ["~/a/b", "~//b", "~/b", "~/a/c"])).toEqual(["~//b", "~/a/b"])
    }
    await Promise.all(VERSIONS.map(check))
  })

  test("a filter that begins with a wildcard does not match a name that begins with $ [MQTT-4.7.2-1]", async () => {
    const check = async (version: Version): Promise<void> => {
      expect(await matched(version, "+/~/x", ["$a/~/x", "a/~/x"])).toEqual(["a/~/x"])
      expect(await matched(version, "#", ["$a/~", "$~", "a/~/$b"])).toEqual(["a/~/$b"])
      expect(await matched(version, "+/~/#", ["$a/~", "a/~"])).toEqual(["a/~"])
      expect(await matched(version, "$a/~/#", ["$a/~/b", "a/~/b"])).toEqual(["$a/~/b"])
      expect(await matched(version, "$a/+/~", ["$a/b/~", "$a/~"])).toEqual(["$a/b/~"])
    }
    await Promise.all(VERSIONS.map(check))
    // The same for a session that is away, and for a shared subscription.
    const [id, level, publisher, member] = [uniqueId(), uniqueLevel(), await connect(), await connect()]
    const away = await kept(id)
    const filters = ["#", `+/${level}`, `$a/${level}/#`]
    await away.subscribe(filters.map((filter) => ({ filter, qos: 1 })))
    await away.disconnect(0)
    await member.subscribe([{ filter: "$share/g/#" }, { filter: `$share/g/+/${level}` }])
    for (const topic of [`$b/${level}`, `$a/${level}/x`, `b/${level}`])
      await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    const back = await kept(id)
    expect((await back.messages(2)).map(({ topic }) => topic).toSorted()).toEqual([`$a/${level}/x`, `b/${level}`])
    expect((await member.messages(2)).map(({ topic }) => topic)).toEqual([`b/${level}`, `b/${level}`])
    for (const client of [back, member]) await client.quiet(20)
  })

  test("an empty topic name ends the connection, and an empty filter is not granted [MQTT-4.7.3-1]", async () => {
    for (const version of VERSIONS) {
      for (const qos of [0, 1, 2] as const) {
        await refused(version, encode.publish(version, { topic: "", qos }))
        if (version !== 5) continue
        // Of section 3.3.4, where it has no alias either: a Protocol Error.
        const client = await connect(version)
        client.publish({ topic: "", qos, id: 1 })
        expect((await client.expect("disconnect")).code).toBe(0x82)
      }
      expect(await codesOf(version, ["", "/"])).toEqual([version === 5 ? 0x8f : 0x80, 1])
    }
  })

  test("U+0000 in a topic name or filter ends the connection [MQTT-4.7.3-2]", async () => {
    for (const version of VERSIONS) {
      for (const text of ["\0", "a\0", "a/\0/b"]) {
        await refused(version, encode.publish(version, { topic: text }))
        await refused(version, encode.subscribe(version, 1, [{ filter: text }]))
        await refused(version, encode.unsubscribe(version, 1, [text]))
      }
    }
  })

  test("names and filters of 65,535 bytes are taken [MQTT-4.7.3-3]", async () => {
    for (const version of VERSIONS) {
      const [subscriber, publisher, level] = [await connect(version), await connect(version), uniqueLevel()]
      const topic = `${level}/`.padEnd(65_535, "n")
      for (const filter of [topic, `${level}/+`]) {
        await subscriber.subscribe(filter, 1)
        await publisher.publishWhole({ topic, payload: "x", qos: 1 })
        expect((await subscriber.messages(1))[0]?.topic.length).toBe(65_535)
      }
    }
  })

  test("nothing is made equal that is not: case, accents, blanks, slashes, U+FEFF [MQTT-4.7.3-4]", async () => {
    const names = ["~/e\u0301", "~/\u00e9", "~/E", "~/e", "~/e ", "~/e/", "~//e", "~/\ufeffe", "\ufeff~/e", "/~/e"]
    for (const version of VERSIONS) {
      const [level, publisher] = [uniqueLevel(), await connect(version)]
      const topics = names.map((name) => name.replace("~", level))
      const clients = await Promise.all(topics.map(() => connect(version)))
      await Promise.all(clients.map((client, index) => client.subscribe(topics[index] ?? "", 1)))
      for (const [index, topic] of topics.entries())
        await publisher.publishWhole({ topic, payload: `${index}`, qos: 1 })
      await Bun.sleep(30)
      const found = clients.map((client) =>
        client.drain().map((each) => (each.type === "publish" ? Number(textOf(each.payload)) : each.type))
      )
      expect(found).toEqual(names.map((_, index) => [index]))
    }
  })

  test("$share needs a share name of one character at least [MQTT-4.8.2-1]", async () => {
    for (const version of VERSIONS) {
      const refusal = version === 5 ? 0x8f : 0x80
      expect(await codesOf(version, ["$share//a", "$share//", "$share/g/a"])).toEqual([refusal, refusal, 1])
    }
    const [client, publisher, topic] = [await connect(), await connect(), uniqueLevel()]
    // Without the slash, or with other letters, it is a filter like any other.
    await client.subscribe([{ filter: `$shared/g/${topic}` }, { filter: `$SHARE/g/${topic}` }])
    await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    await client.quiet(20)
    for (const name of ["$SHARE", "$shared"])
      await publisher.publishWhole({ topic: `${name}/g/${topic}`, payload: name, qos: 1 })
    expect((await client.messages(2)).map(({ payload }) => textOf(payload)).toSorted()).toEqual(["$SHARE", "$shared"])
  })

  test("a share name has no wildcard, and a topic filter behind it [MQTT-4.8.2-2]", async () => {
    const wrong = ["$share/g", "$share/g/", "$share/+/a", "$share/g#/a", "$share/#", "$share/g/a#", "$share/g/a/#/b"]
    for (const version of VERSIONS) {
      for (const code of await codesOf(version, wrong)) expect(code).toBe(version === 5 ? 0x8f : 0x80)
      expect(await codesOf(version, ["$share/g/#", "$share/g/+/a", "$share/g//", "$share/g h/a"])).toEqual([1, 1, 1, 1])
    }
  })

  const TOPIC = (): string => uniqueLevel("shared")
  const share = (topic: string, qos: Qos): ReadonlyArray<Filter> => [{ filter: `$share/g/${topic}`, qos }]

  test("each member of a shared subscription gets messages with the QoS that it was granted [MQTT-4.8.2-3]", async () => {
    for (const most of [0, 1, 2] as const) {
      const [topic, publisher, first, second] = [TOPIC(), await connect(), await connect(), await kept(uniqueId())]
      for (const client of [first, second]) await client.subscribe(share(topic, most))
      for (const qos of [0, 1, 2, 0, 1, 2] as const) await publisher.publishWhole({ topic, payload: `${qos}`, qos })
      await Bun.sleep(60)
      const found = [first, second].flatMap((client) => client.drain())
      const messages = found.flatMap((each) => (each.type === "publish" ? [each] : []))
      expect(messages.length).toBe(6)
      for (const { payload, qos } of messages) expect<number>(qos).toBe(Math.min(Number(textOf(payload)), most))
    }
  })

  test("a QoS 2 message on its way to a member is completed when that one is back, and goes to no other [MQTT-4.8.2-4]", async () => {
    const [id, topic, publisher, other] = [uniqueId(), TOPIC(), await connect(), await connect()]
    const first = await kept(id)
    await first.subscribe(share(topic, 2))
    await publisher.publishWhole({ topic, payload: "x", qos: 2 })
    const [message] = await first.messages(1, { acknowledge: false })
    await other.subscribe(share(topic, 2))
    first.cut()
    await other.quiet(60)
    const back = await kept(id)
    const [again] = await back.messages(1)
    expect([again?.id, again?.dup, textOf(again?.payload ?? new Uint8Array(0))]).toEqual([message?.id, true, "x"])
    expect(await back.expect("pubrel")).toMatchObject({ id: message?.id, code: 0 })
    await other.quiet(20)
  })

  test("a QoS 2 message on its way to a member whose session ends goes to no other [MQTT-4.8.2-5]", async () => {
    for (const isKept of [false, true]) {
      const [id, topic, publisher, other] = [uniqueId(), TOPIC(), await connect(), await connect()]
      const first = isKept ? await kept(id) : await connect()
      await first.subscribe(share(topic, 2))
      await publisher.publishWhole({ topic, payload: "x", qos: 2 })
      await first.messages(1, { acknowledge: false })
      await other.subscribe(share(topic, 2))
      first.cut()
      // A clean start ends the session that was kept.
      if (isKept) await kept(id, true)
      await other.quiet(100)
    }
  })

  test("a message that a member refuses is given to no other [MQTT-4.8.2-6]", async () => {
    for (const qos of [1, 2] as const) {
      const [topic, publisher, first, other] = [TOPIC(), await connect(), await connect(), await connect()]
      await first.subscribe(share(topic, 2))
      await publisher.publishWhole({ topic, payload: "x", qos })
      const [message] = await first.messages(1, { acknowledge: false })
      await other.subscribe(share(topic, 2))
      first.ack(qos === 1 ? "puback" : "pubrec", message?.id ?? 0, 0x80)
      await first.quiet(20)
      first.cut()
      await other.quiet(80)
    }
  })

  test("a shared subscription gets no retained message", async () => {
    const [client, publisher, topic] = [await connect(), await connect(), TOPIC()]
    await publisher.publishWhole({ topic, payload: "kept", qos: 1, retain: true })
    await client.subscribe(share(topic, 1))
    await client.quiet(40)
  })
})
