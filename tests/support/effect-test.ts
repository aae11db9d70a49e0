/**
 * Tests of Effect code: each body runs as one Effect in a scope of its own, on a virtual clock and with a fixed seed, so that a test
 * neither sleeps nor depends on chance.
 */
import { test } from "node:test"
import { Effect, Random, type Scope } from "effect"
import { TestClock } from "effect/testing"

/** Runs one test body as an Effect: own scope, virtual clock, fixed seed. Time moves by `TestClock.adjust` alone. */
export const effectTest = <E>(name: string, body: () => Effect.Effect<void, E, Scope.Scope>, seed = "1"): void => {
  test(name, () => runTest(body(), seed))
}

/** What {@link effectTest} does with a body: the promise rejects with its failure, after the scope is closed. */
export const runTest = <A, E>(body: Effect.Effect<A, E, Scope.Scope>, seed = "1"): Promise<A> =>
  Effect.runPromise(body.pipe(Effect.scoped, Random.withSeed(seed), Effect.provide(TestClock.layer())))
