/** What waited for a kept session comes whatever the size of its messages, also when it has left memory long ago. MQTT 5.0 section 4.1. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

/** A backlog is more than the 16 MiB of a queue log that stay in memory, and less than the 64 MiB that may wait for one session. */
const BACKLOGS = [
  { count: 60, bytes: 900_000 },
  { count: 200, bytes: 300_000 }
] as const

// What was stored is put away in the database at once, so that it is read from there.
const set = { "storage-sqlite.checkpoint_interval_ms": "100" }

brokerSuite("large messages that waited", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  for (const { count, bytes } of BACKLOGS) {
    test(`${count} of ${bytes} bytes, by a filter with a wildcard and by names`, async () => {
      const level = uniqueLevel()
      const filters = { wild: `${level}/#`, named: `${level}/a` }
      const clients = Object.entries(filters).map(([name, filter]) => ({ clientId: uniqueId(name), filter }))
      for (const { clientId, filter } of clients) {
        const client = await RawMqtt.connect(broker().mqtt, { clientId, clean: false })
        await client.subscribe(filter, 1)
        await client.disconnect()
      }
      const publisher = await RawMqtt.connect(broker().mqtt)
      const payload = Buffer.alloc(bytes, "x")
      for (let index = 0; index < count; index++) {
        payload.write(`${index} `)
        await publisher.publishWhole({ topic: `${level}/a`, payload, qos: 1 })
      }
      for (const { clientId } of clients) {
        const client = await RawMqtt.connect(broker().mqtt, { clientId, clean: false })
        const found = await client.messages(count)
        const expected = Array.from({ length: count }, (_, index) => `${index} of ${bytes}`)
        const numberOf = (each: Uint8Array): number => Number.parseInt(Buffer.from(each.subarray(0, 8)).toString(), 10)
        expect(found.map((each) => `${numberOf(each.payload)} of ${each.payload.length}`)).toEqual(expected)
        client.send(encode.disconnect(4))
        await client.closed()
      }
    }, 60_000)
  }
})
