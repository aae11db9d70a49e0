/** The storage thread: a {@link StoreServer} behind messages. It loads this plugin's `database` folder and little else. */
import { serveThread } from "../../core/platform/mod.ts"
import type { Request } from "./database/messages.ts"
import { StoreServer } from "./database/StoreServer.ts"

const server = new StoreServer()

serveThread((message, answer) => {
  const given = server.handle(message as Request)
  if (given === undefined) return
  // What an answer holds of bytes is its own, so that it can be given away.
  const value = "value" in given ? given.value : undefined
  const bytes = typeof value === "object" && value !== null && "bytes" in value ? value.bytes : undefined
  const isOwn = bytes instanceof Uint8Array && bytes.buffer instanceof ArrayBuffer && bytes.length > 0
  answer(given, isOwn ? [bytes.buffer as ArrayBuffer] : [])
})
