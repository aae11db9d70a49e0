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
  tcp: v.pipe(
    v.optional(addressList, ["127.0.0.1:8080"]),
    v.description("listeners for HTTP: /health/live, /health/ready, /metrics, /api/v1/...")
  ),
  hosts: v.pipe(
    v.optional(listOf(hostName), []),
    v.description("further names in the Host header, for a reverse proxy on this machine")
  ),
  body_bytes_max: v.pipe(v.optional(whole(1_024, 16_777_216), 1_048_576), v.description("bytes of one request's body")),
  // Below the 30 seconds after which the platform cuts a silent connection.
  request_timeout: v.pipe(
    v.optional(whole(1, 25), 20),
    v.description("seconds until a request must have been answered")
  ),
  requests_max: v.pipe(v.optional(whole(1, 100_000), 256), v.description("requests under way at a time"))
})

export type Settings = v.InferOutput<typeof options>
