/**
 * What a fleet of devices does beside sending messages: it comes and goes, stays, subscribes, and asks for what was retained.
 *
 * Each kind has its sizes here, full and quick; what it verifies stands in its file in `driver/`.
 */

/** A device tree of retained messages, and clients that ask for all of it. */
export interface Retained {
  readonly kind: "retained"
  readonly name: string
  readonly about: string
  readonly messages: number
  /** Devices of one area: the level above them in the tree. */
  readonly devicesEach: number
  readonly publishers: number
  /** Open messages a publisher. */
  readonly window: number
  /** Clients that ask for all, one after the other. */
  readonly repeats: number
  /** Messages a second of the pair that is watched meanwhile. */
  readonly probeRate: number
  /** Memory is read when the broker has had so long to come to rest. */
  readonly restSeconds: number
  /** What has not come after so long without any message does not come. */
  readonly quietSeconds: number
}

export type ScaleScenario = Retained

export const SCALE_SCENARIOS: readonly ScaleScenario[] = [
  {
    kind: "retained",
    name: "retained",
    about:
      "100,000 retained messages; 10 clients in turn subscribe to all of them, QoS 1; a QoS 1 pair at 1,000/s beside",
    messages: 100_000,
    devicesEach: 100,
    publishers: 10,
    window: 1000,
    repeats: 10,
    probeRate: 1000,
    restSeconds: 3,
    quietSeconds: 10
  }
]

/** The same scenario, small enough for a test on a busy machine. */
export function quickScale(scenario: ScaleScenario): ScaleScenario {
  const about = `quick, not for comparison: a small form of "${scenario.about}"`
  switch (scenario.kind) {
    case "retained":
      return { ...scenario, about, messages: 2000, repeats: 2, restSeconds: 0.2, quietSeconds: 1 }
  }
}
