/** MQTT.js under Node: versions 3, 4, 5 over TCP and WebSocket, and what only it does by itself (reconnect, aliases). */
import { once } from "node:events"
import mqtt from "mqtt"
import { done, equal, testCase, unique } from "./cases.mjs"

const transports = [["tcp", `mqtt://${process.env.MANIFOLD_MQTT}`]]
if (process.env.MANIFOLD_WEBSOCKET) transports.push(["websocket", `ws://${process.env.MANIFOLD_WEBSOCKET}/mqtt`])
const versions = [
  ["3.1", { protocolId: "MQIsdp", protocolVersion: 3 }],
  ["3.1.1", { protocolVersion: 4 }],
  ["5", { protocolVersion: 5 }]
]
const open = (url, options) => mqtt.connectAsync(url, { reconnectPeriod: 0, clientId: unique("mqttjs"), ...options })
/** Collects messages until there are `count`. */
function collect(client, count) {
  const messages = []
  return new Promise((resolve) => {
    client.on("message", (topic, payload, packet) => {
      messages.push({ topic, text: payload.toString(), packet })
      if (messages.length === count) resolve(messages)
    })
  })
}

for (const [transport, url] of transports) {
  for (const [version, options] of versions) {
    const label = `${version} over ${transport}`
    await testCase(`${label}: publish and subscribe at each QoS`, async () => {
      const client = await open(url, options)
      const level = unique()
      for (const qos of [0, 1, 2]) {
        equal((await client.subscribeAsync(`${level}/${qos}/+`, { qos }))[0].qos, qos, "granted QoS")
        const arrived = collect(client, 1)
        await client.publishAsync(`${level}/${qos}/x`, `hello ${qos}`, { qos })
        const [{ text, packet }] = await arrived
        equal([text, packet.qos, packet.retain], [`hello ${qos}`, qos, false])
        client.removeAllListeners("message")
      }
      await client.endAsync()
    })

    await testCase(`${label}: retained messages come, are replaced and cleared`, async () => {
      const client = await open(url, options)
      const topic = `${unique()}/r`
      await client.publishAsync(topic, "one", { qos: 1, retain: true })
      await client.publishAsync(topic, "two", { qos: 1, retain: true })
      const reader = await open(url, options)
      const arrived = collect(reader, 1)
      await reader.subscribeAsync(topic, { qos: 1 })
      const [{ text, packet }] = await arrived
      equal([text, packet.retain], ["two", true])
      await client.publishAsync(topic, "", { qos: 1, retain: true })
      const late = await open(url, options)
      late.on("message", () => late.emit("error", new Error("a cleared retained message came")))
      await late.subscribeAsync(topic)
      await new Promise((resolve) => setTimeout(resolve, 100))
      await Promise.all([client, reader, late].map((each) => each.endAsync()))
    })

    await testCase(`${label}: the will of a destroyed connection`, async () => {
      const topic = `${unique()}/w`
      const watcher = await open(url, options)
      await watcher.subscribeAsync(topic, { qos: 2 })
      const arrived = collect(watcher, 1)
      const client = await open(url, {
        ...options,
        will: { topic, payload: Buffer.from("gone"), qos: 2, retain: false }
      })
      client.stream.destroy()
      equal((await arrived)[0].text, "gone")
      await watcher.endAsync()
      await client.endAsync(true)
    })

    await testCase(`${label}: a kept session gets what came meanwhile, in order`, async () => {
      const topic = `${unique()}/s`
      const kept = {
        ...options,
        clean: false,
        clientId: unique("kept"),
        ...(version === "5" ? { properties: { sessionExpiryInterval: 100 } } : {})
      }
      const first = await open(url, kept)
      await first.subscribeAsync(topic, { qos: 2 })
      await first.endAsync()
      const publisher = await open(url, options)
      for (let index = 0; index < 50; index++) await publisher.publishAsync(topic, String(index), { qos: 2 })
      const second = mqtt.connect(url, { reconnectPeriod: 0, ...kept })
      const arrived = collect(second, 50)
      const [connack] = await once(second, "connect")
      if (version !== "3.1") equal(connack.sessionPresent, true, "session present")
      equal(
        (await arrived).map((each) => each.text),
        Array.from({ length: 50 }, (_, index) => String(index))
      )
      await Promise.all([publisher.endAsync(), second.endAsync()])
    })

    await testCase(
      `${label}: 2,000 pipelined messages at QoS 2, in order`,
      async () => {
        const topic = `${unique()}/p`
        const [publisher, subscriber] = await Promise.all([open(url, options), open(url, options)])
        await subscriber.subscribeAsync(topic, { qos: 2 })
        const arrived = collect(subscriber, 2_000)
        await Promise.all(
          Array.from({ length: 2_000 }, (_, index) => publisher.publishAsync(topic, String(index), { qos: 2 }))
        )
        equal(
          (await arrived).map((each) => Number(each.text)),
          Array.from({ length: 2_000 }, (_, index) => index)
        )
        await Promise.all([publisher.endAsync(), subscriber.endAsync()])
      },
      15_000
    )

    await testCase(`${label}: 200 KiB of any bytes`, async () => {
      const topic = `${unique()}/b`
      const client = await open(url, options)
      await client.subscribeAsync(topic, { qos: 1 })
      const payload = Buffer.from(Array.from({ length: 204_800 }, (_, index) => (index * 31) & 255))
      const arrived = new Promise((resolve) => client.on("message", (_, bytes) => resolve(bytes)))
      await client.publishAsync(topic, payload, { qos: 1 })
      equal(payload.equals(await arrived), true)
      await client.endAsync()
    })

    await testCase(`${label}: unsubscribed is unsubscribed`, async () => {
      const topic = `${unique()}/u`
      const client = await open(url, options)
      await client.subscribeAsync(topic, { qos: 1 })
      await client.unsubscribeAsync(topic)
      let count = 0
      client.on("message", () => count++)
      await client.publishAsync(topic, "x", { qos: 1 })
      await client.publishAsync(topic, "x", { qos: 2 })
      await new Promise((resolve) => setTimeout(resolve, 50))
      equal(count, 0)
      await client.endAsync()
    })
  }

  await testCase(`5 over ${transport}: every property of a message`, async () => {
    const topic = `${unique()}/m`
    const client = await open(url, { protocolVersion: 5 })
    await client.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 42 } })
    const arrived = collect(client, 1)
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 100,
      responseTopic: "reply/here",
      correlationData: Buffer.from([1, 2, 3]),
      userProperties: { a: ["1", "2"], b: "3" },
      contentType: "text/plain"
    }
    await client.publishAsync(topic, "x", { qos: 1, properties })
    const [{ packet }] = await arrived
    const found = packet.properties
    equal(found.subscriptionIdentifier, 42)
    equal(found.payloadFormatIndicator, true)
    equal([found.responseTopic, found.contentType, [...found.correlationData]], ["reply/here", "text/plain", [1, 2, 3]])
    equal({ ...found.userProperties }, { a: ["1", "2"], b: "3" })
    equal(found.messageExpiryInterval <= 100 && found.messageExpiryInterval >= 98, true, "expiry")
    await client.endAsync()
  })

  await testCase(`5 over ${transport}: aliases that the client assigns by itself`, async () => {
    const level = unique()
    const client = await open(url, {
      protocolVersion: 5,
      autoAssignTopicAlias: true,
      properties: { topicAliasMaximum: 10 }
    })
    await client.subscribeAsync(`${level}/#`, { qos: 1 })
    const arrived = collect(client, 60)
    for (let index = 0; index < 60; index++)
      await client.publishAsync(`${level}/t${index % 20}`, String(index), { qos: 1 })
    equal(
      (await arrived).map((each) => `${each.topic} ${each.text}`),
      Array.from({ length: 60 }, (_, index) => `${level}/t${index % 20} ${index}`)
    )
    await client.endAsync()
  })
}

const [, url] = transports[0]
await testCase("reconnect by itself: subscriptions hold, messages that waited go out", async () => {
  const topic = `${unique()}/re`
  const client = mqtt.connect(url, { protocolVersion: 4, reconnectPeriod: 50, clientId: unique("re"), clean: false })
  await once(client, "connect")
  await client.subscribeAsync(topic, { qos: 1 })
  const arrived = collect(client, 3)
  client.stream.destroy()
  await Promise.all([1, 2, 3].map((index) => client.publishAsync(topic, String(index), { qos: 1 })))
  equal(
    (await arrived).map((each) => each.text),
    ["1", "2", "3"]
  )
  await client.endAsync()
})

await testCase("keep alive of one second for three seconds", async () => {
  const client = await open(url, { protocolVersion: 5, keepalive: 1 })
  let closed = false
  client.on("close", () => {
    closed = true
  })
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  equal(closed, false, "closed")
  await client.endAsync()
})

await testCase("take-over is told: 0x8E", async () => {
  const clientId = unique("twice")
  const first = await open(url, { protocolVersion: 5, clientId })
  const told = once(first, "disconnect")
  const second = await open(url, { protocolVersion: 5, clientId })
  equal((await told)[0].reasonCode, 0x8e)
  await Promise.all([first.endAsync(true), second.endAsync()])
})

done()
