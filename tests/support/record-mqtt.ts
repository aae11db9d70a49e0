/**
 * Records what real MQTT clients send, for the golden files of the wire codec.
 *
 *   bun tests/support/record-mqtt.ts [path of a python with paho-mqtt]
 *
 * A small server answers with mqtt-packet and keeps every byte that comes. Each client plays two stories in each version:
 * "publish" (user name, will, one PUBLISH per QoS) and "subscribe" (a filter, two deliveries, acknowledgements,
 * UNSUBSCRIBE). The facts of the stories stand in plugins/protocol-mqtt/wire/golden.test.ts, which checks what we decode.
 * A client that is not installed keeps its old file.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { fileURLToPath } from "node:url"
import mqtt from "mqtt"
import { generate, parser as makeParser, type Packet } from "mqtt-packet"

type Version = 4 | 5
interface Recording {
  readonly client: string
  readonly version: Version
  readonly story: "publish" | "subscribe"
  readonly stream: string
}

const GOLDEN = fileURLToPath(new URL("../../plugins/protocol-mqtt/wire/golden/", import.meta.url))
const TOPIC = "rec/température"
const FILTER = "rec/+/x"
const OTHER_FILTER = "rec/other/#"

/** Serves one connection at a time; `take` gives what the last one sent, once it has closed. */
class RecordingServer {
  private chunks: Array<Buffer> = []
  private closed: Promise<void> = Promise.resolve()
  private readonly server = createServer((socket) => this.serve(socket))

  async listen(): Promise<number> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done))
    const address = this.server.address()
    if (address === null || typeof address === "string") throw new Error("the server has no port")
    return address.port
  }

  async take(): Promise<string> {
    await this.closed
    const stream = Buffer.concat(this.chunks).toString("hex")
    this.chunks = []
    return stream
  }

  close(): void {
    this.server.close()
  }

  private serve(socket: Socket): void {
    this.closed = new Promise((done) => socket.once("close", () => done()))
    const parser = makeParser()
    let version: Version = 4
    const send = (packet: Packet) => socket.write(generate(packet, { protocolVersion: version }))
    parser.on("packet", (packet) => {
      if (packet.cmd === "connect") {
        version = packet.protocolVersion === 5 ? 5 : 4
        send({ cmd: "connack", sessionPresent: false, reasonCode: 0, returnCode: 0 })
      } else if (packet.cmd === "publish" && packet.qos > 0) {
        send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId: packet.messageId ?? 0, reasonCode: 0 })
      } else if (packet.cmd === "pubrec") send({ cmd: "pubrel", messageId: packet.messageId ?? 0, reasonCode: 0 })
      else if (packet.cmd === "pubrel") send({ cmd: "pubcomp", messageId: packet.messageId ?? 0, reasonCode: 0 })
      else if (packet.cmd === "unsubscribe") {
        send({ cmd: "unsuback", messageId: packet.messageId ?? 0, granted: packet.unsubscriptions.map(() => 0) })
      } else if (packet.cmd === "subscribe") {
        send({ cmd: "suback", messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(({ qos }) => qos) })
        const message = { topic: "rec/a/x", retain: false, dup: false } as const
        send({ cmd: "publish", ...message, qos: 1, messageId: 11, payload: "one" })
        send({ cmd: "publish", ...message, qos: 2, messageId: 12, payload: "two" })
      }
    })
    socket.on("data", (data) => {
      const chunk = Buffer.from(data)
      this.chunks.push(chunk)
      parser.parse(chunk)
    })
    socket.on("error", () => {})
  }
}

async function run(path: string, args: ReadonlyArray<string>): Promise<void> {
  const child = spawn(path, args, { stdio: ["ignore", "ignore", "inherit"] })
  const code = await new Promise<number | null>((done, fail) => child.once("error", fail).once("close", done))
  if (code !== 0) throw new Error(`${path} ended with ${code}`)
}

const MOSQUITTO_MESSAGE_PROPERTIES = [
  ["payload-format-indicator", "1"],
  ["message-expiry-interval", "60"],
  ["content-type", "text/plain"],
  ["response-topic", "rec/answer"],
  ["correlation-data", "c-1"]
].flatMap((property) => ["-D", "publish", ...property])

async function mosquitto(version: Version, port: number, story: Recording["story"]): Promise<void> {
  const common = ["-h", "127.0.0.1", "-p", String(port), "-i", "recorder", "-V", version === 5 ? "mqttv5" : "mqttv311"]
  const session = version === 5 ? ["-D", "connect", "session-expiry-interval", "100"] : []
  if (story === "subscribe") {
    const identifier = version === 5 ? ["-D", "subscribe", "subscription-identifier", "300"] : []
    await run("mosquitto_sub", [...common, "-q", "2", "-t", FILTER, "-U", OTHER_FILTER, "-C", "2", ...identifier])
    return
  }
  const will = ["--will-topic", "rec/will", "--will-payload", "gone", "--will-qos", "1", "--will-retain"]
  const delay = version === 5 ? ["-D", "will", "will-delay-interval", "5"] : []
  const user = ["-D", "publish", "user-property"]
  const properties =
    version === 5 ? [...MOSQUITTO_MESSAGE_PROPERTIES, ...user, "a", "1", ...user, "b", "2", ...user, "a", "3"] : []
  // One process sends at one QoS: the lines of standard input would need a shell, so the highest is recorded.
  const message = ["-t", TOPIC, "-m", "21.5", "-q", "2", "-r"]
  await run("mosquitto_pub", [
    ...common,
    ...["-u", "ada", "-P", "lovelace"],
    ...will,
    ...delay,
    ...session,
    ...message,
    ...properties
  ])
}

async function mqttJs(version: Version, port: number, story: Recording["story"]): Promise<void> {
  const is5 = version === 5
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: version,
    clientId: "recorder",
    reconnectPeriod: 0,
    ...(is5 && { properties: { sessionExpiryInterval: 100, receiveMaximum: 20, maximumPacketSize: 100_000 } }),
    ...(story === "publish" && {
      username: "ada",
      password: "lovelace",
      will: {
        topic: "rec/will",
        payload: Buffer.from("gone"),
        qos: 1,
        retain: true,
        ...(is5 && { properties: { willDelayInterval: 5 } })
      }
    })
  })
  if (story === "publish") {
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 60,
      contentType: "text/plain",
      responseTopic: "rec/answer",
      correlationData: Buffer.from("c-1"),
      userProperties: { a: ["1", "3"], b: "2" }
    }
    for (const qos of [0, 1, 2] as const) {
      await client.publishAsync(TOPIC, "21.5", { qos, retain: true, ...(is5 && { properties }) })
    }
  } else {
    let deliveries = 0
    const delivered = new Promise<void>((done) => client.on("message", () => ++deliveries === 2 && done()))
    await client.subscribeAsync(FILTER, { qos: 2, ...(is5 && { properties: { subscriptionIdentifier: 300 } }) })
    await delivered
    await client.unsubscribeAsync(OTHER_FILTER)
  }
  await client.endAsync()
}

const PAHO = `
import sys, threading
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes
version, port, story = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "recorder", protocol=version)
done = threading.Event()
seen = []
def on_message(c, u, m):
    seen.append(m)
    if len(seen) == 2: client.unsubscribe("${OTHER_FILTER}")
client.on_message = on_message
client.on_unsubscribe = lambda *a: done.set()
connected = threading.Event()
client.on_connect = lambda *a: connected.set()
def properties(kind, **fields):
    if version != 5: return None
    made = Properties(kind)
    for name, value in fields.items():
        setattr(made, name, value)
    return made
if story == "publish":
    client.username_pw_set("ada", "lovelace")
    client.will_set("rec/will", "gone", 1, True, properties(PacketTypes.WILLMESSAGE, WillDelayInterval=5))
client.connect("127.0.0.1", port, 60, properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=100))
client.loop_start()
connected.wait(5)
if story == "publish":
    message = properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, MessageExpiryInterval=60,
        ContentType="text/plain", ResponseTopic="rec/answer", CorrelationData=b"c-1",
        UserProperty=[("a", "1"), ("b", "2"), ("a", "3")])
    for qos in (0, 1, 2):
        client.publish("${TOPIC}", "21.5", qos, True, message).wait_for_publish(5)
else:
    if version == 5:
        client.subscribe("${FILTER}", options=mqtt.SubscribeOptions(qos=2),
            properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=300))
    else:
        client.subscribe("${FILTER}", 2)
    done.wait(5)
client.disconnect()
client.loop_stop()
`

const python = process.argv[2] ?? "python3"
const players: Record<string, (version: Version, port: number, story: Recording["story"]) => Promise<void>> = {
  mosquitto,
  mqttjs: mqttJs,
  paho: (version, port, story) => run(python, ["-c", PAHO, String(version), String(port), story])
}

const server = new RecordingServer()
const port = await server.listen()
for (const [client, play] of Object.entries(players)) {
  const recordings: Array<Recording> = []
  try {
    for (const version of [4, 5] as const) {
      for (const story of ["publish", "subscribe"] as const) {
        await play(version, port, story)
        recordings.push({ client, version, story, stream: await server.take() })
      }
    }
    writeFileSync(`${GOLDEN}${client}.golden.json`, `${JSON.stringify(recordings, null, 1)}\n`)
    console.log(`${client}: ${recordings.length} recordings`)
  } catch (error) {
    console.log(`${client}: not recorded: ${error instanceof Error ? error.message : String(error)}`)
    await server.take()
  }
}
server.close()
