/** A remote broker that does what a test says: it takes connections, answers CONNECT and SUBSCRIBE, and nothing else by itself. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { generate, type Packet, parser } from "mqtt-packet"
import { until } from "./until.ts"

export interface FakeOptions {
  /** Of its CONNACK, version 5. */
  readonly properties?: object
  readonly sessionPresent?: () => boolean
  readonly reasonCode?: number
  /** Where it listens; 0 = anywhere. */
  readonly port?: number
  /** Answers PUBLISH and PUBREL, too. */
  readonly acknowledges?: boolean
}

export class FakeRemote {
  /** Everything that came, on all connections. */
  readonly packets: Array<Packet> = []
  readonly #server: Server
  readonly #options: FakeOptions
  #socket: Socket | undefined
  connections = 0
  /** Not even a ping is answered. */
  isSilent = false

  private constructor(server: Server, options: FakeOptions) {
    this.#server = server
    this.#options = options
  }

  static async start(options: FakeOptions = {}): Promise<FakeRemote> {
    const server = createServer({ noDelay: true })
    const made = new FakeRemote(server, options)
    server.on("connection", (socket) => made.#accept(socket))
    await until(`the port ${options.port ?? 0}`, () => listens(server, options.port ?? 0))
    return made
  }

  get remote(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get publishes() {
    return this.packets.flatMap((packet) => (packet.cmd === "publish" ? [packet] : []))
  }

  count(cmd: Packet["cmd"]): number {
    return this.packets.filter((packet) => packet.cmd === cmd).length
  }

  async has(count: number, cmd: Packet["cmd"]): Promise<void> {
    await until(`${count} ${cmd} at the remote`, () => this.count(cmd) >= count)
  }

  send(packet: Packet): void {
    this.#socket?.write(generate(packet, { protocolVersion: 5 }))
  }

  sendBytes(hex: string): void {
    this.#socket?.write(Buffer.from(hex.replaceAll(" ", ""), "hex"))
  }

  cut(): void {
    this.#socket?.resetAndDestroy()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }

  #accept(socket: Socket): void {
    this.connections += 1
    this.#socket = socket
    const stream = parser({ protocolVersion: 5 })
    const answer = (packet: Packet): void => void socket.write(generate(packet, { protocolVersion: 5 }))
    const isEager = this.#options.acknowledges === true
    stream.on("packet", (packet: Packet) => {
      this.packets.push(packet)
      if (packet.cmd === "connect") {
        const { properties = {}, sessionPresent = () => false, reasonCode = 0 } = this.#options
        answer({ cmd: "connack", reasonCode, sessionPresent: !packet.clean && sessionPresent(), properties })
      } else if (packet.cmd === "subscribe") {
        const granted = packet.subscriptions.map(({ qos }) => qos)
        answer({ cmd: "suback", messageId: packet.messageId ?? 0, granted })
      } else if (packet.cmd === "unsubscribe") {
        const granted = packet.unsubscriptions.map(() => 0)
        answer({ cmd: "unsuback", messageId: packet.messageId ?? 0, granted })
      } else if (packet.cmd === "pingreq") {
        if (!this.isSilent) answer({ cmd: "pingresp" })
      } else if (packet.cmd === "publish" && isEager && packet.qos > 0) {
        answer({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId: packet.messageId ?? 0 })
      } else if (packet.cmd === "pubrel" && isEager) answer({ cmd: "pubcomp", messageId: packet.messageId ?? 0 })
    })
    socket.on("data", (bytes) => void stream.parse(Buffer.from(bytes)))
    socket.on("error", () => {})
  }
}

/** Whether the server listens on the port now. One that was given back may be somebody's own end of a connection for a moment. */
function listens(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void =>
      error.code === "EADDRINUSE" ? resolve(false) : reject(error)
    server.once("error", failed)
    server.listen(port, "127.0.0.1", () => {
      server.off("error", failed)
      resolve(true)
    })
  })
}
