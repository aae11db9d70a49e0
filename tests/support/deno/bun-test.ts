/**
 * What the end-to-end tests use of `bun:test`, on node:test and the package expect: under Deno the import map gives them this module
 * in its place.
 */
import * as nodeTest from "node:test"
import { expect as expectOne } from "expect"

type Body = () => void | Promise<void>

expectOne.extend({
  /** As Bun has it: the end is not within. */
  toBeWithin(received: number, start: number, end: number) {
    const pass = received >= start && received < end
    return { pass, message: () => `${received} is ${pass ? "" : "not "}from ${start} to below ${end}` }
  }
})

/** Bun takes a second argument, words for a failure; here the line that failed has to say it. */
export const expect = Object.assign(<Value>(value: Value, _words?: string) => expectOne(value), expectOne)

export function test(name: string, body: Body, timeoutMs?: number): void {
  const run = async (): Promise<void> => {
    await body()
  }
  if (timeoutMs === undefined) nodeTest.test(name, run)
  else nodeTest.test(name, { timeout: timeoutMs }, run)
}
test.skip = (name: string, body: Body): void => {
  nodeTest.test(name, { skip: true }, async () => {
    await body()
  })
}
test.skipIf = (isSkipped: boolean) => (isSkipped ? test.skip : test)

export function describe(name: string, body: () => void): void {
  nodeTest.describe(name, body)
}
describe.skipIf =
  (isSkipped: boolean) =>
  (name: string, body: () => void): void => {
    if (isSkipped) nodeTest.describe(name, { skip: true }, body)
    else nodeTest.describe(name, body)
  }

export const beforeAll = (body: Body, _timeoutMs?: number): void => nodeTest.before(async () => void (await body()))
export const afterAll = (body: Body, _timeoutMs?: number): void => nodeTest.after(async () => void (await body()))
export const afterEach = (body: Body): void => nodeTest.afterEach(async () => void (await body()))
