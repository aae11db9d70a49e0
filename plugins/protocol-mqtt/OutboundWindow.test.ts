import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { AWAITS_PUBACK, AWAITS_PUBCOMP, AWAITS_PUBREC, OutboundWindow } from "./OutboundWindow.ts"

interface Sent {
  readonly qos: number
}
const sentWith = (qos: number): Sent => ({ qos })

test("identifiers begin at 1, are never 0, and come round after 65,535", () => {
  const window = new OutboundWindow(10)
  const seen = new Set<number>()
  for (let count = 0; count < 65_535; count++) {
    const identifier = window.take(1, undefined)
    seen.add(identifier)
    window.free(identifier)
  }
  assert.equal(seen.size, 65_535)
  assert.ok(!seen.has(0) && seen.has(1) && seen.has(65_535))
  assert.equal(window.take(1, undefined), 1)
})

test("one that stays in use is stepped over, also after the round", () => {
  const window = new OutboundWindow(10)
  const kept = window.take(2, undefined)
  for (let count = 0; count < 70_000; count++) {
    const identifier = window.take(1, undefined)
    assert.ok(identifier !== kept && identifier >= 1 && identifier <= 65_535)
    window.free(identifier)
  }
  assert.equal(window.stateOf(kept), AWAITS_PUBREC)
})

test("it is full at its limit, which may fall below what is in flight", () => {
  const window = new OutboundWindow(3)
  const taken = [1, 1, 1].map((qos) => window.take(qos, undefined))
  assert.equal(window.isFull, true)
  window.limit = 2
  window.free(taken[0] ?? 0)
  assert.equal(window.isFull, true)
  window.free(taken[1] ?? 0)
  assert.equal(window.isFull, false)
})

test("every identifier there is can be in flight", () => {
  const window = new OutboundWindow(65_535)
  const taken = new Set<number>()
  while (!window.isFull) taken.add(window.take(1, undefined))
  assert.equal(taken.size, 65_535)
  for (const identifier of taken) window.free(identifier)
  assert.equal(window.count, 0)
})

test("an identifier that shares a place in the ring with one in use is not in use", () => {
  const window = new OutboundWindow(100)
  const identifier = window.take(1, undefined)
  for (const other of [identifier + 16, identifier + 32, identifier + 1_024, 0, 65_535]) {
    assert.equal(window.stateOf(other), 0, String(other))
    assert.equal(window.sentAs(other), undefined)
  }
})

test("any history agrees with a plain list: states, messages, order of first sending", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("take" as const), pick: fc.nat(1) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("free" as const), pick: fc.nat(200) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("released" as const), pick: fc.nat(200) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), fc.boolean(), (steps, keeps) => {
      const window = new OutboundWindow<Sent>(200)
      let model: Array<{ identifier: number; state: number; sent: Sent | undefined }> = []
      for (const { kind, pick } of steps) {
        if (kind === "take") {
          if (window.isFull) continue
          const qos = pick + 1
          const sent = keeps ? sentWith(qos) : undefined
          const identifier = window.take(qos, sent)
          assert.ok(!model.some((entry) => entry.identifier === identifier))
          model.push({ identifier, state: qos === 1 ? AWAITS_PUBACK : AWAITS_PUBREC, sent })
        } else {
          const entry = model[pick % Math.max(1, model.length)]
          if (entry === undefined) continue
          if (kind === "free") {
            window.free(entry.identifier)
            model = model.filter((each) => each !== entry)
            assert.equal(window.stateOf(entry.identifier), 0)
          } else if (entry.state === AWAITS_PUBREC) {
            window.released(entry.identifier)
            entry.state = AWAITS_PUBCOMP
          }
        }
        assert.equal(window.count, model.length)
      }
      const visited: Array<{ identifier: number; state: number; sent: Sent | undefined }> = []
      window.forEach((identifier, state, sent) => void visited.push({ identifier, state, sent }))
      assert.deepEqual(visited, model)
      for (const { identifier, state, sent } of model) {
        assert.equal(window.stateOf(identifier), state)
        assert.equal(window.sentAs(identifier), sent)
      }
    }),
    { numRuns: 200 }
  )
})

test("what was in use is restored at its identifiers, in order, wherever they lie in the ring", () => {
  const identifiers = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(identifiers, (wanted) => {
      const window = new OutboundWindow<Sent>(100)
      for (const [index, identifier] of wanted.entries()) {
        window.restore(identifier, index % 2 === 0 ? AWAITS_PUBACK : AWAITS_PUBCOMP, sentWith(index))
      }
      const visited: Array<number> = []
      window.forEach((identifier, _state, sent) => {
        assert.equal(sent?.qos, visited.length)
        visited.push(identifier)
      })
      assert.deepEqual(visited, wanted)
      const taken = window.take(1, undefined)
      assert.ok(!wanted.includes(taken))
      assert.equal(window.count, wanted.length + 1)
    })
  )
})
