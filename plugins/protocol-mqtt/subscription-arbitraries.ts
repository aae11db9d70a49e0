/** For tests: histories of a session whose subscriptions change while messages come for them. */
import fc from "fast-check"
import { clientSteps, type HistoryStep, JOURNAL_STEPS, TIME_STEPS } from "./history-arbitraries.ts"

export const NAMES = ["t/0", "t/1"]
export const FILTERS = ["t/0", "t/#"]

export type SubscriptionStep =
  | HistoryStep
  | {
      readonly kind: "subscribe"
      readonly filter: string
      readonly qos: 0 | 1 | 2
      /** What is published just before it, and on its way when it comes. */
      readonly crossing: string | undefined
      /** Its connection ends right behind it. */
      readonly isCut: boolean
    }
  | { readonly kind: "unsubscribe"; readonly filter: string }
  | { readonly kind: "clean" }
  | { readonly kind: "take-over"; readonly who: number }
  | { readonly kind: "late"; readonly who: number; readonly packet: number; readonly id: number }

const who = fc.nat({ max: 1 })
const step: fc.Arbitrary<SubscriptionStep> = fc.oneof(
  ...clientSteps({ names: NAMES, clients: 2, traffic: 8, connections: 1 }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("subscribe" as const),
      filter: fc.constantFrom(...FILTERS),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      crossing: fc.constantFrom(undefined, undefined, ...NAMES),
      isCut: fc.nat({ max: 3 }).map((drawn) => drawn === 3)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("unsubscribe" as const), filter: fc.constantFrom(...FILTERS) })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clean" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("take-over" as const), who }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("late" as const),
      who,
      packet: fc.nat({ max: 7 }),
      id: fc.integer({ min: 1, max: 4 })
    })
  },
  ...JOURNAL_STEPS,
  ...TIME_STEPS
)

export interface SubscriptionHistory {
  /** Messages that may be in flight to a client: the fewer, the more of them wait. */
  readonly window: number
  readonly steps: ReadonlyArray<SubscriptionStep>
}

export const subscriptionHistory: fc.Arbitrary<SubscriptionHistory> = fc.record({
  window: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(step, { maxLength: 60, size: "max" })
})
