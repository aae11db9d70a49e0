/** The options of `[[plugin]] use = "admin-http"`, their bounds and defaults. */
import * as v from "valibot"
import { addressList } from "../../core/mod.ts"

/** One text or a list of them. */
const listOf = (item: v.GenericSchema<string, string>) =>
  v.pipe(
    v.union([v.array(item), item]),
    v.transform((value) => (typeof value === "string" ? [value] : value))
  )

const hostName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,253}$/, "expected a host name without a port"))

const whole = (minimum: number, maximum: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(minimum), v.maxValue(maximum))

export const options = v.strictObject({
  /** Listeners for HTTP. */
  tcp: v.optional(addressList, ["127.0.0.1:8080"]),
  /** Further names that the Host header of a loopback listener may hold, for a reverse proxy on this machine. */
  hosts: v.optional(listOf(hostName), []),
  /** Largest request body, bytes. */
  body_bytes_max: v.optional(whole(1_024, 16_777_216), 1_048_576),
  /** Seconds until a request must have been answered; below the 30 seconds after which the platform cuts a silent connection. */
  request_timeout: v.optional(whole(1, 25), 20),
  /** Requests under way at a time. */
  requests_max: v.optional(whole(1, 100_000), 256)
})

export type Settings = v.InferOutput<typeof options>
