/** A link that a test can cut: a port in front of another one. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import type { Address } from "./broker.ts"

export class TcpProxy {
  readonly #server: Server
  readonly #open = new Set<Socket>()
  isCut = false
  /** Connections that came, refused ones too. */
  connections = 0

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(target: Address): Promise<TcpProxy> {
    const server = createServer({ noDelay: true })
    const proxy = new TcpProxy(server)
    server.on("connection", (near) => proxy.#join(near, target))
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    return proxy
  }

  get address(): Address {
    return { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port }
  }

  get remote(): string {
    return `127.0.0.1:${this.address.port}`
  }

  #join(near: Socket, target: Address): void {
    this.connections += 1
    if (this.isCut) {
      near.destroy()
      return
    }
    const far = connect({ ...target, noDelay: true })
    for (const [one, other] of [
      [near, far],
      [far, near]
    ] as const) {
      this.#open.add(one)
      one.pipe(other)
      one.on("error", () => {})
      one.on("close", () => {
        this.#open.delete(one)
        other.destroy()
      })
    }
  }

  /** Drops every connection with what is on its way, and takes no new one. */
  cut(): void {
    this.isCut = true
    for (const socket of this.#open) socket.resetAndDestroy()
    this.#open.clear()
  }

  mend(): void {
    this.isCut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}
