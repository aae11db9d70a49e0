/** For tests: the steps that histories of sessions share, and how those of them that befall the whole node are carried out. */
import assert from "node:assert/strict"
import fc from "fast-check"
import type { TestClient } from "./fakes.ts"
import type { TestNode } from "./testing.ts"

const DISK_FULL = -3

/** What befalls the node. */
export type NodeStep =
  | { readonly kind: "commit"; readonly shard: number; readonly count: number }
  | { readonly kind: "automatic"; readonly isAutomatic: boolean }
  | { readonly kind: "lose"; readonly shard: number; readonly isFull: boolean }
  | { readonly kind: "crash" }
  | { readonly kind: "pass"; readonly ms: number }

/** What clients do. */
export type ClientStep =
  | { readonly kind: "publish"; readonly name: string; readonly qos: 1 | 2 }
  | { readonly kind: "answer"; readonly who: number; readonly count: number }
  | { readonly kind: "cut"; readonly who: number }
  | { readonly kind: "connect"; readonly who: number }

export type HistoryStep = NodeStep | ClientStep

/** Of clients that are numbered from 0 on and names that they publish on; each with its weight. */
export interface StepWeights {
  readonly names: ReadonlyArray<string>
  readonly clients: number
  /** Of publishing, and of answering. */
  readonly traffic: number
  /** Of leaving or coming back, and of coming back alone. */
  readonly connections: number
}

/** The steps of {@link ClientStep}, for `fc.oneof`. */
export function clientSteps({ names, clients, traffic, connections }: StepWeights) {
  const who = fc.nat({ max: clients - 1 })
  return [
    {
      weight: traffic,
      arbitrary: fc.record({
        kind: fc.constant("publish" as const),
        name: fc.constantFrom(...names),
        qos: fc.constantFrom(1 as const, 2 as const)
      })
    },
    {
      weight: traffic,
      arbitrary: fc.record({ kind: fc.constant("answer" as const), who, count: fc.integer({ min: 1, max: 9 }) })
    },
    { weight: connections, arbitrary: fc.record({ kind: fc.constantFrom("cut" as const, "connect" as const), who }) },
    { weight: connections, arbitrary: fc.record({ kind: fc.constant("connect" as const), who }) }
  ] as const
}

const shard = fc.nat({ max: 1 })

/** Journals that wait and commit. */
export const JOURNAL_STEPS = [
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("commit" as const), shard, count: fc.integer({ min: 1, max: 4 }) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("automatic" as const), isAutomatic: fc.boolean() }) }
] as const

/** Journals that fail. */
export const LOSS_STEP = {
  weight: 1,
  arbitrary: fc.record({ kind: fc.constant("lose" as const), shard, isFull: fc.boolean() })
} as const

/** A crash, and time that passes. */
export const TIME_STEPS = [
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(1, 600, 3_000) }) }
] as const

/** Carries out what befalls the node. */
export async function befall(node: TestNode, step: NodeStep, clients: ReadonlyArray<TestClient>): Promise<void> {
  if (step.kind === "commit") node.shards[step.shard]?.journal.commit(step.count)
  else if (step.kind === "automatic") node.automatic = step.isAutomatic
  else if (step.kind === "lose") {
    const { journal } = node.shards[step.shard] ?? assert.fail("there are two")
    journal.refusal = step.isFull ? DISK_FULL : 0
    journal.fail(DISK_FULL)
  } else if (step.kind === "pass") await node.advance(step.ms)
  else {
    node.crash()
    for (const client of clients) client.wire = undefined
    await node.start()
  }
}

/** Everybody comes back, and all that is owed is done; `idleMs` pass between two looks where nothing was. */
export async function toTheEnd(
  node: TestNode,
  clients: ReadonlyArray<TestClient>,
  connect: (client: TestClient) => void,
  idleMs = 1
): Promise<void> {
  for (const { journal } of node.shards) journal.refusal = 0
  node.automatic = true
  await node.advance(5_000)
  for (let idle = 0, round = 0; idle < 5 && round < 2_000; round++) {
    for (const client of clients) if (!client.isConnected) connect(client)
    await node.settle()
    const isBusy = clients.some(({ unread, unfinished }) => unread + unfinished > 0)
    for (const client of clients) client.answer()
    await node.advance(isBusy ? 1 : idleMs)
    idle = isBusy ? 0 : idle + 1
  }
}
