import assert from "node:assert/strict"
import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import { makeScramCredential, parseScramCredential, ScramServer, type ScramStep } from "./Scram.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const salt = Uint8Array.fromBase64("W22ZaJ0SNY7soEsUEjb6gQ==")
const SHAPES = [{ iterations: 4_096, saltBytes: 16 }]
const SECRET = encoder.encode("of this node")

function serverOf(users: Readonly<Record<string, string>>, nonce = "server-nonce"): ScramServer {
  const credentials = new Map(
    Object.entries(users).map(([user, password]) => [user, makeScramCredential(password, salt) ?? ""])
  )
  const credentialOf = (user: string) => parseScramCredential(credentials.get(user) ?? "")
  return new ScramServer({ credentialOf, secret: SECRET, shapes: SHAPES, nonce: () => nonce })
}

const textOf = (step: ScramStep): string => (step.kind === "failure" ? "failure" : decoder.decode(step.data))
const say = (server: ScramServer, text: string): ScramStep => server.step(encoder.encode(text))

/** A client of our own making, after RFC 5802: its last message, and what it expects of the server. */
function answer(
  password: string,
  bare: string,
  challenge: string,
  header = "n,,"
): { final: string; expected: string } {
  const [, nonce = "", saltText = "", iterations = ""] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge) ?? []
  const salted = pbkdf2Sync(
    password.normalize("NFKC"),
    Buffer.from(saltText, "base64"),
    Number(iterations),
    32,
    "sha256"
  )
  const hmac = (key: Uint8Array, text: string) => createHmac("sha256", key).update(text).digest()
  const clientKey = hmac(salted, "Client Key")
  const withoutProof = `c=${Buffer.from(header).toString("base64")},r=${nonce}`
  const all = `${bare},${challenge},${withoutProof}`
  const signature = hmac(createHash("sha256").update(clientKey).digest(), all)
  const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))
  const expected = `v=${hmac(hmac(salted, "Server Key"), all).toString("base64")}`
  return { final: `${withoutProof},p=${Buffer.from(proof).toString("base64")}`, expected }
}

test("the exchange of RFC 7677, byte for byte", () => {
  const server = serverOf({ user: "pencil" }, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
  assert.equal(
    textOf(say(server, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")),
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
  )
  const step = say(
    server,
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
  )
  assert.equal(step.kind === "success" && step.user, "user")
  assert.equal(textOf(step), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
  assert.equal(say(server, "n,,n=user,r=again").kind, "failure", "it is over")
})

test("names with commas, equals signs and other scripts; headers with an authorization identity", () => {
  for (const [user, written] of [
    ["a,b=c", "a=2Cb=3Dc"],
    ["jürgen", "jürgen"],
    ["ⅸ", "ⅸ"]
  ] as const) {
    for (const header of ["n,,", "y,,", `n,a=${written},`]) {
      const server = serverOf({ [user.normalize("NFKC")]: "pässword" })
      const bare = `n=${written},r=abc`
      const { final, expected } = answer("pässword", bare, textOf(say(server, header + bare)), header)
      const step = say(server, final)
      assert.deepEqual([textOf(step), step.kind === "success" && step.user], [expected, user.normalize("NFKC")])
    }
  }
})

test("a wrong password, an unknown user, another nonce, another header: all fail alike, at the last message", () => {
  const wrong = (user: string, change: (final: string) => string, password = "right"): void => {
    const server = serverOf({ known: "right" })
    const bare = `n=${user},r=abc`
    const step = say(server, `n,,${bare}`)
    assert.equal(step.kind, "challenge")
    assert.deepEqual(say(server, change(answer(password, bare, textOf(step)).final)), { kind: "failure" })
  }
  wrong("known", (final) => final, "wrong")
  wrong("unknown", (final) => final)
  wrong("known", (final) => final.replace("r=abc", "r=abd"))
  wrong("known", (final) => final.replace("c=biws", "c=eSws"))
  wrong("known", (final) => final.slice(0, final.indexOf(",p=")))
  wrong("known", (final) => final.replace(/p=.*/, "p="))
  wrong("known", (final) => final.replace(/p=.{4}/, "p="))
  wrong("known", (final) => `${final}x`)
})

test("an unknown user has a salt, always the same, another one's is another", () => {
  const saltOf = (user: string): string =>
    /,s=([^,]+),/.exec(textOf(say(serverOf({}), `n,,n=${user},r=abc`)))?.[1] ?? ""
  assert.equal(saltOf("nobody"), saltOf("nobody"))
  assert.notEqual(saltOf("nobody"), saltOf("somebody"))
  assert.equal(saltOf("nobody").length, 24)
})

test("unknown users are given what known ones have, some this and some that", () => {
  const shapes = [
    { iterations: 4_096, saltBytes: 16 },
    { iterations: 16_384, saltBytes: 24 }
  ]
  const seen = new Set<string>()
  for (let index = 0; index < 40; index++) {
    const server = new ScramServer({ credentialOf: () => undefined, secret: SECRET, shapes, nonce: () => "x" })
    const [, saltText = "", iterations] =
      /,s=([^,]+),i=(\d+)$/.exec(textOf(say(server, `n,,n=nobody${index},r=abc`))) ?? []
    seen.add(`${iterations} ${Buffer.from(saltText, "base64").length}`)
  }
  assert.deepEqual([...seen].toSorted(), ["16384 24", "4096 16"])
})

test("a password of which nothing is left, or that no client can send, makes no credential", () => {
  for (const password of ["", "\u00ad", "\u200b\ufe0f", "a\tb", "\ue000", "\u0378"]) {
    assert.equal(makeScramCredential(password, salt), undefined, JSON.stringify(password))
  }
  assert.equal(makeScramCredential("I\u00adX\ufe0f", salt), makeScramCredential("IX", salt))
  assert.equal(makeScramCredential("a\u00a0b", salt), makeScramCredential("a b", salt))
})

test("first messages that are none", () => {
  const bad = [
    "",
    "n",
    "n,,",
    "n,,n=,r=abc",
    "n,,n=user,r=",
    "n,,r=abc,n=user",
    "p=tls-unique,,n=user,r=abc",
    "x,,n=user,r=abc",
    "n,a=other,n=user,r=abc",
    "n,,m=ext,n=user,r=abc",
    "n,,n=us=er,r=abc",
    "n,,n=us\u0000er,r=abc",
    "n,,n=user,r=a bc",
    `n,,n=${"u".repeat(5_000)},r=abc`,
    `n,,n=user,r=${"r".repeat(257)}`,
    "n,,n=\u00ad,r=abc"
  ]
  for (const text of bad) assert.equal(say(serverOf({ user: "pencil" }), text).kind, "failure", JSON.stringify(text))
  assert.equal(serverOf({ user: "pencil" }).step(Uint8Array.of(0xff, 0xfe)).kind, "failure")
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (first, second) => {
      const server = serverOf({ user: "pencil" })
      server.step(first)
      assert.notEqual(server.step(second).kind, "success")
    })
  )
})

test("the text form of a credential is read back, and nothing else is", () => {
  const text = makeScramCredential("pencil", salt) ?? ""
  assert.equal(
    text,
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
  )
  assert.deepEqual(parseScramCredential(text)?.salt, salt)
  for (const bad of [
    "",
    text.slice(1),
    `${text}x`,
    text.replace("4096", "4095"),
    text.replace("4096", "99999999"),
    text.replace("SHA-256", "SHA-1"),
    text.replace("W22Z", "W2!Z"),
    text.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gQ=")
  ]) {
    assert.equal(parseScramCredential(bad), undefined, bad)
  }
})
