/** Addresses as a person writes them in the options of a plugin: "127.0.0.1:1883", "[::1]:1883", "localhost:0"; one, or a list. */
import * as v from "valibot"
import { parseAddress } from "../platform/Net.ts"

/** What {@link parseAddress} takes, for those who cannot ask it: editors, by the JSON Schema. */
const PORT = "(?:\\d{1,4}|0\\d{4}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])"
const PATTERN = `^(?:\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s]+):${PORT}$`

/** "host:port"; an IPv6 address stands in brackets, port 0 asks for a free one. */
export const address = v.pipe(
  v.string(),
  v.metadata({ pattern: PATTERN }),
  v.check((text) => parseAddress(text) !== undefined, 'expected "host:port"')
)

/** A single address is accepted for a list. */
export const addressList = v.pipe(
  v.union([v.array(address), address]),
  v.transform((given): ReadonlyArray<string> => (typeof given === "string" ? [given] : given))
)
