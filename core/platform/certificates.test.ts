import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { type Certified, makeAuthority, makeCertificate } from "../../tests/support/certificates.ts"
import { type CertificateFiles, LOOK_MS, watchCertificates } from "./certificates.ts"
import { FileError } from "./Files.ts"
import type { TlsSource } from "./Net.ts"
import { Simulation } from "./simulated.ts"

const wanted: CertificateFiles = {
  certificate: "/c.pem",
  privateKey: "/k.pem",
  clientCa: "/ca.pem",
  requiresClient: true
}

class World {
  readonly texts = new Map<string, string>()
  readonly lines: Array<string> = []
  readonly simulation = new Simulation(1)
  readonly scope = Scope.makeUnsafe()
  readonly files = {
    readText: (pathname: string) => {
      const text = this.texts.get(pathname)
      return text === undefined
        ? Effect.fail(new FileError({ pathname, code: "not-found", reason: "no such file" }))
        : Effect.succeed(text)
    }
  }

  put({ certificate, privateKey }: Certified): void {
    this.texts.set(wanted.certificate, certificate)
    this.texts.set(wanted.privateKey, privateKey)
  }

  watch(): Promise<TlsSource> {
    const { files, simulation, lines } = this
    const parts = { files, clock: simulation.clock, tell: (line: string) => void lines.push(line) }
    return Effect.runPromise(Scope.provide(watchCertificates(wanted, parts), this.scope))
  }

  async pass(ms = LOOK_MS): Promise<void> {
    await this.simulation.runAsync(this.simulation.clock.monotonicMs() + ms)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const authority = makeAuthority()
const [first, second] = [makeCertificate({ name: "one" }, authority), makeCertificate({ name: "two" }, authority)]

function world(): World {
  const made = new World()
  made.texts.set(wanted.clientCa, authority.certificate)
  made.put(first)
  return made
}

test("a certificate that is put in another's place is shown, once, when it is whole", async () => {
  const here = world()
  const source = await here.watch()
  let changes = 0
  source.onChange(() => {
    changes += 1
  })
  assert.deepEqual(source.current, { ...first, clientCa: authority.certificate, requiresClient: true })
  await here.pass()
  assert.deepEqual([changes, here.lines], [0, []])
  // The certificate is there before its key.
  here.texts.set(wanted.certificate, second.certificate)
  await here.pass()
  await here.pass()
  assert.equal(source.current.certificate, first.certificate)
  assert.deepEqual(here.lines.splice(0), [
    "the certificate stays what it was: /k.pem is not the key of the certificate in /c.pem"
  ])
  here.texts.set(wanted.privateKey, second.privateKey)
  await here.pass()
  assert.deepEqual([changes, source.current.certificate], [1, second.certificate])
  assert.deepEqual(here.lines.splice(0), ["the certificate in /c.pem is shown from now on"])
  await Effect.runPromise(Scope.close(here.scope, Exit.void))
  here.put(first)
  await here.pass(10 * LOOK_MS)
  assert.deepEqual([changes, here.lines], [1, []])
})

test("files that go, or are something else, change nothing", async () => {
  const here = world()
  const source = await here.watch()
  here.texts.delete(wanted.privateKey)
  await here.pass()
  here.texts.set(wanted.privateKey, "nonsense")
  await here.pass()
  assert.deepEqual(here.lines, [
    "the certificate stays what it was: /k.pem: no such file",
    "the certificate stays what it was: /k.pem holds no private key in PEM form"
  ])
  assert.equal(source.current.privateKey, first.privateKey)
})

test("at a start each fault is one line", async () => {
  const faults: ReadonlyArray<readonly [file: string, text: string | undefined, line: RegExp]> = [
    [wanted.certificate, undefined, /^\/c\.pem: no such file$/],
    [wanted.certificate, "", /^\/c\.pem holds no certificate in PEM form$/],
    [wanted.privateKey, second.privateKey, /^\/k\.pem is not the key of the certificate in \/c\.pem$/],
    [wanted.clientCa, first.privateKey, /^\/ca\.pem holds no certificate in PEM form$/]
  ]
  for (const [file, text, line] of faults) {
    const here = world()
    if (text === undefined) here.texts.delete(file)
    else here.texts.set(file, text)
    await assert.rejects(here.watch(), { message: line })
  }
})

test("one that has expired is shown, and told of", async () => {
  const here = world()
  here.put(makeCertificate({ name: "old", days: -1 }, authority))
  here.simulation.jumpWallClock(Date.now())
  await here.watch()
  assert.deepEqual(here.lines, ["the certificate in /c.pem has expired"])
})
