/**
 * Fuzzes everything that stands between a socket's bytes and a decoded request: framing, header, body. Valid requests are cut,
 * flipped, spliced, lengthened; some bytes are random from the start. Whatever comes, the outcome is a value or a
 * {@link MalformedMessage}; the reader stays within its bounds; what is held stays within what has come.
 *
 * Run long by hand: `bun plugins/protocol-kafka/wire/wire.fuzz.ts [--seed N] [--runs N]`; it prints the seed that replays it.
 */
import fc from "fast-check"
import { fuzzOptions } from "../../../tests/support/fuzz-options.ts"
import { APIS, apiOf } from "./apis.ts"
import { codecFor, decodeRequest, isFlexible, MalformedMessage } from "./codec.ts"
import { decodeRequestHeader, endFrame, FrameReader, requestHeaderVersion } from "./framing.ts"
import { messageArbitrary } from "./message-arbitrary.ts"
import { requestHeader } from "./messages/headers.ts"
import { Reader } from "./reader.ts"
import type { Api, Fields } from "./schema.ts"
import { Writer } from "./writer.ts"

const FRAME_SIZE_MAX = 65_536

/** Any request of any API and version, framed. */
const requestArbitrary: fc.Arbitrary<Uint8Array> = fc
  .constantFrom(...APIS)
  .chain((api) => fc.tuple(fc.constant(api), fc.integer({ min: api.versionMin, max: api.versionMax })))
  .chain(([api, version]) => messageArbitrary(api.request, version).map((message) => framed(api, version, message)))

function framed(api: Api, apiVersion: number, message: object): Uint8Array {
  const writer = new Writer()
  const start = writer.reserve(4)
  const version = requestHeaderVersion(api.key, apiVersion, api)
  const header = { apiKey: api.key, apiVersion, correlationId: 1, clientId: "fuzz" }
  codecFor(requestHeader, version, version === 2).encode(writer, header)
  codecFor<Fields>(api.request, apiVersion, isFlexible(api, apiVersion)).encode(writer, message as never)
  endFrame(writer, start)
  return writer.bytes.slice(0, writer.position)
}

interface Mutation {
  readonly kind: "keep" | "cut" | "flip" | "extreme" | "splice" | "resize"
  readonly at: number
  readonly value: number
}
const mutationArbitrary: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("keep", "cut", "flip", "flip", "extreme", "extreme", "splice", "resize"),
  at: fc.nat(),
  value: fc.nat(255)
})

function mutate(bytes: Uint8Array, { kind, at, value }: Mutation): Uint8Array {
  if (bytes.length === 0) return bytes
  const position = at % bytes.length
  const result = bytes.slice()
  switch (kind) {
    case "keep":
      return result
    case "cut":
      return result.slice(0, position)
    case "flip":
      result[position] = (result[position] ?? 0) ^ (1 << (value & 7))
      return result
    case "extreme":
      result.fill([0x00, 0x7f, 0x80, 0xff][value & 3] ?? 0, position, position + 1 + ((value >> 2) & 7))
      return result
    case "splice":
      result.copyWithin(position, value % bytes.length)
      return result
    case "resize":
      // The prefix tells the truth again, so that the damage reaches the decoders behind it.
      if (result.length >= 12) new DataView(result.buffer).setInt32(0, result.length - 4)
      return result
  }
}

/** A connection's bytes: requests, whole or damaged, or noise. */
export const streamArbitrary: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.array(requestArbitrary, { minLength: 1, maxLength: 3 }), fc.array(mutationArbitrary, { maxLength: 4 }))
      .map(([requests, mutations]) => {
        const joined = new Uint8Array(requests.reduce((size, request) => size + request.length, 0))
        let position = 0
        for (const request of requests) {
          joined.set(request, position)
          position += request.length
        }
        return mutations.reduce(mutate, joined)
      })
  }
)

/** What became of one input. */
export interface Outcome {
  decoded: number
  malformed: number
}

/** Feeds one input as one connection's stream, cut into chunks of `chunkSize`. Throws what no input may cause. */
export function feed(input: Uint8Array, chunkSize: number, outcome: Outcome): void {
  const frames = new FrameReader(FRAME_SIZE_MAX)
  try {
    for (let position = 0; position < input.length; position += chunkSize) {
      frames.push(input.slice(position, position + chunkSize))
      while (frames.next()) {
        const reader = new Reader(frames.bytes, frames.start, frames.end)
        const header = decodeRequestHeader(reader, apiOf)
        const api = apiOf(header.apiKey)
        if (api === undefined || header.apiVersion < api.versionMin || header.apiVersion > api.versionMax) continue
        decodeRequest(api, header.apiVersion, reader)
        if (reader.position > frames.end) throw new RangeError("the reader went past the frame")
        outcome.decoded += 1
      }
      if (frames.heldBytes > 4 * (position + chunkSize)) throw new RangeError("more held than has come")
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    outcome.malformed += 1
  }
}

/** Runs `iterations` inputs from `seed`. Throws, with the input that is to blame, at the first fault. */
export function fuzz(seed: number, iterations: number): Outcome {
  const outcome: Outcome = { decoded: 0, malformed: 0 }
  fc.assert(
    fc.property(streamArbitrary, fc.integer({ min: 1, max: 300 }), (input, chunkSize) =>
      feed(input, chunkSize, outcome)
    ),
    { seed, numRuns: iterations }
  )
  return outcome
}

if (import.meta.main) {
  const { seed, runs: iterations } = fuzzOptions(200_000)
  console.log(`seed ${seed}, ${iterations} iterations`)
  console.log(fuzz(seed, iterations))
}
