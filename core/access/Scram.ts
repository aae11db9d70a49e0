/**
 * SCRAM-SHA-256 as a server speaks it: a password is proved, and never seen. Pure: bytes in, bytes out; for MQTT's AUTH and for SASL.
 *
 * Source: RFC 5802 (sections 3, 5, 7, 9), RFC 7677; the text form of credentials is that of RFC 5803 as PostgreSQL writes it.
 * Invariants
 *  - Whether a user exists cannot be told from the exchange: an unknown one gets a salt of its own, always the same, and fails last.
 *  - Proofs are compared in constant time. Nothing in a failure says what was wrong.
 *  - There is no channel binding: who asks for it ("p") is refused.
 */
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from "node:crypto"
import type { RandomShape } from "../platform/Random.ts"

export const SCRAM_SHA_256 = "SCRAM-SHA-256"
/** What RFC 7677 asks for at least. */
export const SCRAM_ITERATIONS_MIN = 4_096
export const SCRAM_ITERATIONS_MAX = 10_000_000
const KEY_BYTES = 32
const SALT_BYTES = 16
const NONCE_BYTES = 18
/** Of a client: it goes back to it in the challenge. */
const NONCE_LENGTH_MAX = 256
/** Of one message: names and nonces are short. */
const MESSAGE_BYTES_MAX = 4_096

/** What a server keeps of a password. */
export interface ScramCredential {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

const CREDENTIAL = /^SCRAM-SHA-256\$(\d{1,8}):([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/

/** Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, the last three as base64; undefined where it is not that. */
export function parseScramCredential(text: string): ScramCredential | undefined {
  const [, iterationsText = "", salt = "", storedKey = "", serverKey = ""] = CREDENTIAL.exec(text) ?? []
  const iterations = Number(iterationsText)
  if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX) return undefined
  const decoded = { salt: decodeBase64(salt), storedKey: decodeBase64(storedKey), serverKey: decodeBase64(serverKey) }
  if (decoded.salt === undefined || decoded.storedKey === undefined || decoded.serverKey === undefined) return undefined
  return { iterations, salt: decoded.salt, storedKey: decoded.storedKey, serverKey: decoded.serverKey }
}

/**
 * The text that {@link parseScramCredential} reads, of a password; undefined where nothing is left of it, or it has characters that no
 * client can send. Takes a while: that is its use.
 */
export function makeScramCredential(
  password: string,
  salt: Uint8Array,
  iterations = SCRAM_ITERATIONS_MIN
): string | undefined {
  const text = prepareScramText(password)
  if (text === undefined) return undefined
  const salted = pbkdf2Sync(text, salt, iterations, KEY_BYTES, "sha256")
  const storedKey = hash(hmac(salted, "Client Key"))
  const serverKey = hmac(salted, "Server Key")
  const [saltText, storedText, serverText] = [salt, storedKey, serverKey].map((bytes) => bytes.toBase64())
  return `${SCRAM_SHA_256}$${iterations}:${saltText}$${storedText}:${serverText}`
}

/** What an exchange makes of a message of the client. */
export type ScramStep =
  | { readonly kind: "challenge"; readonly data: Uint8Array }
  /** `data` goes to the client with the success: by it the client knows the server. */
  | { readonly kind: "success"; readonly user: string; readonly data: Uint8Array }
  | { readonly kind: "failure" }

const FAILURE: ScramStep = { kind: "failure" }

export interface ScramServerParts {
  readonly credentialOf: (user: string) => ScramCredential | undefined
  /** Random, and the same after a restart and on all shards: what unknown users are told comes from it. */
  readonly secret: Uint8Array
  /** Iterations and bytes of salt as known users have them: unknown ones are given some of these. */
  readonly shapes: ReadonlyArray<{ readonly iterations: number; readonly saltBytes: number }>
  /** This server's part of the nonce: printable, without a comma, new each time. */
  readonly nonce: () => string
}

/** A nonce by chance. */
export function scramNonce(random: RandomShape): string {
  const bytes = new Uint8Array(NONCE_BYTES)
  random.fill(bytes, 0, bytes.length)
  return bytes.toBase64()
}

/** One exchange. After a success or a failure it takes nothing more. */
export class ScramServer {
  readonly #parts: ScramServerParts
  #state: "first" | "final" | "over" = "first"
  #user = ""
  #credential: ScramCredential | undefined
  #gs2Header = ""
  #nonce = ""
  /** client-first-message-bare "," server-first-message */
  #begun = ""

  constructor(parts: ScramServerParts) {
    this.#parts = parts
  }

  /** Takes a message of the client (borrowed). */
  step(message: Uint8Array): ScramStep {
    const state = this.#state
    this.#state = "over"
    const text = message.length > MESSAGE_BYTES_MAX ? undefined : decodeUtf8(message)
    if (text === undefined || state === "over") return FAILURE
    return state === "first" ? this.#first(text) : this.#final(text)
  }

  #first(text: string): ScramStep {
    // gs2-cbind-flag "," [ "a=" authzid ] "," [ "m=" ... "," ] "n=" user "," "r=" nonce [ "," extensions ]
    const match = /^(([ny]),(?:a=([^,]*))?,)(n=([^,]*),r=([^,]+)(?:,.*)?)$/s.exec(text)
    const [, header = "", , authorization, bare = "", name = "", clientNonce = ""] = match ?? []
    const user = prepareScramText(unescaped(name) ?? "")
    const isOther = authorization !== undefined && unescaped(authorization) !== unescaped(name)
    if (match === null || user === undefined || isOther || !isNonce(clientNonce)) return FAILURE
    const found = this.#parts.credentialOf(user)
    // Made in any case: how long the answer takes must not tell, either.
    const made = this.#made(user)
    const { salt, iterations } = found ?? made
    this.#user = user
    this.#credential = found
    this.#gs2Header = header
    this.#nonce = `${clientNonce}${this.#parts.nonce()}`
    const first = `r=${this.#nonce},s=${salt.toBase64()},i=${iterations}`
    this.#begun = `${bare},${first}`
    this.#state = "final"
    return { kind: "challenge", data: encodeUtf8(first) }
  }

  #final(text: string): ScramStep {
    const match = /^(c=([^,]+),r=([^,]+)(?:,.*)?),p=([^,]+)$/s.exec(text)
    const [, withoutProof = "", binding = "", nonce = "", proofText = ""] = match ?? []
    const proof = decodeBase64(proofText)
    const isBound = binding === encodeUtf8(this.#gs2Header).toBase64()
    if (match === null || !isBound || nonce !== this.#nonce || proof?.length !== KEY_BYTES) return FAILURE
    const made = this.#made(this.#user)
    const { storedKey, serverKey } = this.#credential ?? made
    const all = `${this.#begun},${withoutProof}`
    const clientKey = hmac(storedKey, all)
    for (let index = 0; index < KEY_BYTES; index++) clientKey[index] = (clientKey[index] ?? 0) ^ (proof[index] ?? 0)
    const isProved = timingSafeEqual(hash(clientKey), storedKey)
    if (!isProved || this.#credential === undefined) return FAILURE
    return { kind: "success", user: this.#user, data: encodeUtf8(`v=${hmac(serverKey, all).toBase64()}`) }
  }

  /** What stands for the credential of a user that is not known. */
  #made(user: string): ScramCredential {
    const { secret, shapes } = this.#parts
    const derived = hmac(secret, `salt of ${user}`)
    const keys = { storedKey: hmac(derived, "stored"), serverKey: hmac(derived, "server") }
    const drawn = new DataView(keys.serverKey.buffer).getUint32(0) % Math.max(1, shapes.length)
    const { iterations, saltBytes } = shapes[drawn] ?? { iterations: SCRAM_ITERATIONS_MIN, saltBytes: SALT_BYTES }
    return { iterations, salt: derived.subarray(0, Math.min(saltBytes, KEY_BYTES)), ...keys }
  }
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(text).digest())
}

function hash(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest())
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text)
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" })
  } catch {
    return undefined
  }
}

/** A saslname as text: `=2C` and `=3D` stand for a comma and an equals sign, and no other `=` may be there. */
function unescaped(name: string): string | undefined {
  if (/=(?!2C|3D)/.test(name)) return undefined
  return name.replaceAll("=2C", ",").replaceAll("=3D", "=")
}

/** What SASLprep maps to nothing: RFC 3454, table B.1. */
const NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/g
/** Other spaces than the space: RFC 3454, table C.1.2. */
const SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g

/** A user's name or a password as SASLprep (RFC 4013) makes it; undefined where it is forbidden or nothing is left of it. */
export function prepareScramText(text: string): string | undefined {
  const normal = text.replaceAll(NOTHING, "").replaceAll(SPACES, " ").normalize("NFKC")
  return normal === "" || /[\p{Cc}\p{Cs}\p{Co}\p{Cn}]/u.test(normal) ? undefined : normal
}

/** ASCII without a comma, of a length that a nonce has. */
function isNonce(nonce: string): boolean {
  return nonce.length <= NONCE_LENGTH_MAX && /^[\x21-\x2b\x2d-\x7e]+$/.test(nonce)
}
