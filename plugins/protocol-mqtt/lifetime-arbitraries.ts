/** For tests: what befalls the session of one client, over its whole life. */
import fc from "fast-check"

/** Of a session that never ends, seconds. */
export const FOR_EVER = 4_294_967_295
const FILTERS = ["x/#", "r/#"]
const NAMES = ["x/0", "x/1", "r/0", "r/1"]

export interface Will {
  /** Seconds. */
  readonly delay: number
  readonly retain: boolean
}

export type LifetimeStep =
  | { readonly kind: "connect"; readonly isClean: boolean; readonly expiry: number; readonly will: Will | undefined }
  | { readonly kind: "cut" }
  | { readonly kind: "disconnect"; readonly reason: 0 | 4; readonly expiry: number | undefined }
  | { readonly kind: "subscribe"; readonly filter: string }
  | { readonly kind: "unsubscribe"; readonly filter: string }
  | { readonly kind: "publish"; readonly said: Said }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "crash"; readonly downMs: number }

export interface Said {
  readonly name: string
  readonly qos: 1 | 2
  readonly retain: boolean
  /** A retained message is cleared. */
  readonly clears: boolean
  /** Seconds; 0 = never. */
  readonly expiry: number
}

const seconds = fc.constantFrom(0, 2, 5, FOR_EVER)
export const lifetimeStep: fc.Arbitrary<LifetimeStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("connect" as const),
      isClean: fc.nat({ max: 3 }).map((value) => value === 0),
      expiry: seconds,
      will: fc.option(fc.record({ delay: fc.constantFrom(0, 1, 3, 10), retain: fc.boolean() }), { nil: undefined })
    })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("disconnect" as const),
      reason: fc.constantFrom(0 as const, 4 as const),
      expiry: fc.option(seconds, { nil: undefined })
    })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("subscribe" as const), filter: fc.constantFrom(...FILTERS) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("unsubscribe" as const), filter: fc.constantFrom(...FILTERS) })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("publish" as const),
      said: fc.record({
        name: fc.constantFrom(...NAMES),
        qos: fc.constantFrom(1 as const, 2 as const),
        retain: fc.boolean(),
        clears: fc.boolean(),
        expiry: fc.constantFrom(0, 0, 1, 4)
      })
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(300, 1_100, 2_500, 6_000) })
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("crash" as const), downMs: fc.constantFrom(0, 1_500, 4_000) })
  }
)
