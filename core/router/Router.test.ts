import assert from "node:assert/strict"
import { test } from "node:test"
import { LinkPort } from "../link/LinkPort.ts"
import type { TurnTask } from "../platform/Turn.ts"
import { Subscription } from "./Delivery.ts"
import { ShardRouter } from "./Router.ts"

/** Two routers whose frames travel when `deliver` is called. */
function makePair(): { routers: ReadonlyArray<ShardRouter>; deliver: () => void } {
  const frames: Array<readonly [from: number, target: number, bytes: Uint8Array]> = []
  const tasks: Array<TurnTask> = []
  const turn = { deferWork: (task: TurnTask) => void tasks.push(task), deferFlush: () => {}, deferOutput: () => {} }
  const ports = [0, 1].map(
    (shard) =>
      new LinkPort(
        shard,
        { shards: 2, send: (target, bytes, start, end) => frames.push([shard, target, bytes.slice(start, end)]) },
        turn
      )
  )
  const routers = ports.map((port) => new ShardRouter(port, 3, () => {}))
  const deliver = (): void => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task.endTurn()
    for (const [from, target, bytes] of frames.splice(0)) ports[target]?.receive(from, bytes)
    if (tasks.length > 0) deliver()
  }
  return { routers, deliver }
}

const subscriptionOn = (filter: string) => new Subscription({ deliverUnsafe: () => {} }, filter, 0, "", false, 0)

test("a second subscriber of a filter waits as long as the first: until the other shard knows it", () => {
  const { routers, deliver } = makePair()
  const router = routers[0]
  assert.ok(router !== undefined)
  const first = router.subscribeUnsafe(subscriptionOn("a/+"))
  const second = router.subscribeUnsafe(subscriptionOn("a/+"))
  assert.ok(first > router.tickets.committed)
  assert.ok(second > router.tickets.committed)
  deliver()
  assert.ok(second <= router.tickets.committed)
  assert.equal(router.subscribeUnsafe(subscriptionOn("a/+")), 0)
})

test("the last subscriber's leaving takes the route away, not the first one's", () => {
  const { routers, deliver } = makePair()
  const [here, there] = routers
  assert.ok(here !== undefined && there !== undefined)
  const made = [subscriptionOn("a"), subscriptionOn("a")]
  for (const subscription of made) here.subscribeUnsafe(subscription)
  deliver()
  assert.equal(there.isEmpty, false)
  for (const [index, subscription] of made.entries()) {
    assert.equal(here.unsubscribeUnsafe(subscription), true)
    assert.equal(here.unsubscribeUnsafe(subscription), false)
    deliver()
    assert.equal(there.isEmpty, index === 1)
  }
})

test("it is known on every shard whether anybody subscribes to what begins with $", () => {
  const { routers, deliver } = makePair()
  const heard = (): ReadonlyArray<boolean> => {
    deliver()
    return routers.map(({ hasSystemFilters }) => hasSystemFilters)
  }
  const [here, there] = routers
  assert.ok(here !== undefined && there !== undefined)
  const [one, two, plain] = [subscriptionOn("$SYS/#"), subscriptionOn("$SYS/#"), subscriptionOn("#")]
  here.subscribeUnsafe(plain)
  here.wantUnsafe("$SYS/x")
  assert.deepEqual(heard(), [false, false])
  here.subscribeUnsafe(one)
  there.subscribeUnsafe(two)
  assert.deepEqual(heard(), [true, true])
  here.unsubscribeUnsafe(one)
  assert.deepEqual(heard(), [true, true])
  there.unsubscribeUnsafe(two)
  there.unsubscribeUnsafe(two)
  assert.deepEqual(heard(), [false, false])
})
