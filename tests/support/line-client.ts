/** A client of examples/protocol-line as a person at netcat: sends lines, reads lines, nothing automatic. */
import { createConnection, type Socket } from "node:net"
import type { Address } from "./broker.ts"
import { until, within } from "./until.ts"

export class LineClient {
  readonly socket: Socket
  /** Lines that came and were not taken yet, without their ends; each byte is one character. */
  readonly lines: Array<string> = []
  isClosed = false
  #rest = ""

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding("latin1").on("data", (text) => {
      const parts = `${this.#rest}${text}`.split("\n")
      this.#rest = parts.pop() ?? ""
      for (const part of parts) this.lines.push(part)
    })
    for (const event of ["close", "end", "error"]) {
      socket.on(event, () => {
        this.isClosed = true
      })
    }
  }

  static readonly #open = new Set<LineClient>()
  /** Cuts every connection that a test left open; call it after each test. */
  static cutAll(): void {
    for (const client of LineClient.#open) client.socket.destroy()
    LineClient.#open.clear()
  }

  static async open({ host, port }: Address): Promise<LineClient> {
    const socket = createConnection({ host, port, noDelay: true })
    await within(
      "a connection for lines",
      new Promise<void>((done, fail) => {
        socket.once("connect", done)
        socket.once("error", fail)
      })
    )
    const client = new LineClient(socket)
    LineClient.#open.add(client)
    return client
  }

  /** Sends text as it is, one byte a character. */
  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"))
  }

  /** The next line. */
  async line(timeoutMs?: number): Promise<string> {
    await until("a line", () => this.lines.length > 0 || this.isClosed, timeoutMs)
    const line = this.lines.shift()
    if (line === undefined) throw new Error("the connection was closed where a line was expected")
    return line
  }

  /** Sends a line and returns the next one. */
  async ask(line: string): Promise<string> {
    this.send(`${line}\n`)
    return await this.line()
  }

  async closed(timeoutMs?: number): Promise<void> {
    await until("the end of the connection for lines", () => this.isClosed, timeoutMs)
  }
}
