import assert from "node:assert/strict"
import { test } from "node:test"
import { BUFFER_BYTES_MIN, BufferPool } from "./BufferPool.ts"

test("a buffer has the least length that holds what is asked for", () => {
  const pool = new BufferPool()
  for (const [count, length] of [
    [0, 4_096],
    [1, 4_096],
    [4_096, 4_096],
    [4_097, 8_192],
    [8_192, 8_192],
    [8_193, 16_384],
    [1_048_576, 1_048_576],
    [1_048_577, 2_097_152],
    [100_000_000, 134_217_728]
  ] as const) {
    assert.equal(pool.take(count).length, length, String(count))
  }
})

test("what is given back is taken again, once, and only for its length", () => {
  const pool = new BufferPool()
  const [small, large] = [pool.take(1), pool.take(60_000)]
  pool.give(small)
  pool.give(large)
  assert.equal(pool.pooledBytes, 4_096 + 65_536)
  assert.ok(pool.take(9_000) !== large)
  assert.ok(pool.take(65_536) === large)
  assert.ok(pool.take(33_000) !== large)
  assert.ok(pool.take(4_000) === small)
  assert.equal(pool.pooledBytes, 0)
})

test("it keeps 8 MiB, and nothing above 1 MiB", () => {
  const pool = new BufferPool()
  pool.give(pool.take(1_048_577))
  assert.equal(pool.pooledBytes, 0)
  const buffers = Array.from({ length: 3_000 }, (_, at) => pool.take(BUFFER_BYTES_MIN << (at % 5)))
  for (const buffer of buffers) pool.give(buffer)
  assert.ok(pool.pooledBytes <= 8_388_608 && pool.pooledBytes > 8_388_608 - 65_536)
})

test("large buffers that are not wanted any more make room for small ones", () => {
  const pool = new BufferPool()
  const large = Array.from({ length: 8 }, () => pool.take(1_000_000))
  for (const buffer of large) pool.give(buffer)
  assert.equal(pool.pooledBytes, 8_388_608)
  const small = Array.from({ length: 1_000 }, () => pool.take(1))
  for (const buffer of small) pool.give(buffer)
  const again = new Set(Array.from({ length: 1_000 }, () => pool.take(1)))
  assert.equal(small.filter((buffer) => again.has(buffer)).length, 1_000)
  assert.ok(pool.pooledBytes <= 8_388_608)
})
