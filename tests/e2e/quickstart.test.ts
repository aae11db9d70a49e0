/** The README's two walks: an MQTT client publishes and a Kafka client reads, then the other way round. */
import { expect } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { pathOf, run, start, testWith, tools } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

brokerSuite("quick start", {}, (broker) => {
  const mqtt = (): Array<string> => ["-h", broker().mqtt.host, "-p", String(broker().mqtt.port)]

  testWith(
    [tools.mosquittoPub, tools.kcat],
    "mosquitto_pub -t sensors/room1 -m 21.5, then kcat -C -t sensors.room1",
    async () => {
      const published = await run(pathOf(tools.mosquittoPub), [...mqtt(), "-t", "sensors/room1", "-m", "21.5"])
      expect([published.code, published.stderr]).toEqual([0, ""])
      const output = await until("the record in kcat", async () => {
        const read = await run(pathOf(tools.kcat), [
          "-b",
          broker().bootstrap,
          "-C",
          "-t",
          "sensors.room1",
          "-o",
          "beginning",
          "-e",
          "-f",
          "%k=%s\n"
        ])
        return read.stdout === "" ? undefined : read.stdout
      })
      expect(output).toBe("sensors/room1=21.5\n")
    }
  )

  testWith(
    [tools.kcat, tools.mosquittoSub],
    "kcat -P -t sensors.room2 reaches mosquitto_sub -t sensors/room2",
    async () => {
      const subscriber = start(pathOf(tools.mosquittoSub), [
        ...mqtt(),
        "-V",
        "mqttv5",
        "-t",
        "sensors/#",
        "-q",
        "1",
        "-C",
        "2",
        "-F",
        "%t %q %r %p"
      ])
      await sleep(300)
      const produced = await run(pathOf(tools.kcat), ["-b", broker().bootstrap, "-P", "-t", "sensors.room2"], {
        input: "22.5\n23.5\n"
      })
      expect(produced.code).toBe(0)
      const { stdout, code } = await subscriber.end()
      expect([code, stdout]).toEqual([0, "sensors/room2 1 0 22.5\nsensors/room2 1 0 23.5\n"])
    }
  )
})
