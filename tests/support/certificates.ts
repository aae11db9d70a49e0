/**
 * Certificates for tests, made as they are needed: no file to keep, none that expires. ECDSA over P-256.
 *
 * Source: RFC 5280 (certificates), X.690 (DER).
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"

/** A certificate with its key, PEM text. */
export interface Certified {
  readonly certificate: string
  readonly privateKey: string
}

export interface Wanted {
  /** Its common name. */
  readonly name: string
  /** Names that it is good for: DNS names and IPv4 addresses. */
  readonly hosts?: ReadonlyArray<string>
  /** Days from now until it is not good any more; below 0 = it never was. */
  readonly days?: number
  /** Whether it may vouch for others. */
  readonly isAuthority?: boolean
}

const SEQUENCE = 0x30
const SET = 0x31

function der(tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer {
  const body = Buffer.concat(parts)
  const { length } = body
  if (length < 128) return Buffer.concat([Uint8Array.of(tag, length), body])
  const size = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Uint8Array.of(tag, ...size), body])
}

const integer = (bytes: Uint8Array): Buffer =>
  der(2, (bytes[0] ?? 0) >= 128 ? Buffer.concat([Uint8Array.of(0), bytes]) : bytes)
const bits = (bytes: Uint8Array): Buffer => der(3, Uint8Array.of(0), bytes)
const octets = (...parts: ReadonlyArray<Uint8Array>): Buffer => der(4, ...parts)
const text = (value: string): Buffer => der(12, Buffer.from(value))
const yes = der(1, Uint8Array.of(255))

/** An object identifier of arcs below 2^14. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest)
    bytes.push(
      ...(arc < 128
        ? [arc]
        : arc < 16_384
          ? [128 | (arc >> 7), arc & 127]
          : [128 | (arc >> 14), 128 | ((arc >> 7) & 127), arc & 127])
    )
  return der(6, Uint8Array.from(bytes))
}

const ECDSA_SHA256 = der(SEQUENCE, oid("1.2.840.10045.4.3.2"))
const nameOf = (name: string): Buffer => der(SEQUENCE, der(SET, der(SEQUENCE, oid("2.5.4.3"), text(name))))

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "")
  return der(0x18, Buffer.from(digits))
}

function extension(id: string, isCritical: boolean, value: Uint8Array): Buffer {
  return der(SEQUENCE, oid(id), ...(isCritical ? [yes] : []), octets(value))
}

function extensionsOf({ hosts = [], isAuthority = false }: Wanted): Buffer {
  const names = hosts.map((host) => {
    const parts = host.split(".").map(Number)
    const isAddress = parts.length === 4 && parts.every((part) => part >= 0)
    return isAddress ? der(0x87, Uint8Array.from(parts)) : der(0x82, Buffer.from(host))
  })
  const all = [extension("2.5.29.19", true, der(SEQUENCE, ...(isAuthority ? [yes] : [])))]
  if (names.length > 0) all.push(extension("2.5.29.17", false, der(SEQUENCE, ...names)))
  return der(0xa3, der(SEQUENCE, ...all))
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`
}

/** Makes a certificate that `issuer` vouches for; without one it vouches for itself. */
export function makeCertificate(wanted: Wanted, issuer?: Certified & { readonly name: string }): Certified {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const signer: KeyObject = issuer === undefined ? privateKey : createPrivateKey(issuer.privateKey)
  const until = Date.now() + (wanted.days ?? 30) * 86_400_000
  const facts = der(
    SEQUENCE,
    der(0xa0, integer(Uint8Array.of(2))),
    integer(Buffer.concat([Uint8Array.of(1), randomBytes(8)])),
    ECDSA_SHA256,
    nameOf(issuer?.name ?? wanted.name),
    der(SEQUENCE, time(Math.min(Date.now(), until) - 86_400_000), time(until)),
    nameOf(wanted.name),
    publicKey.export({ format: "der", type: "spki" }),
    extensionsOf(wanted)
  )
  const whole = der(SEQUENCE, facts, ECDSA_SHA256, bits(sign("sha256", facts, signer)))
  return {
    certificate: pem("CERTIFICATE", whole),
    privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString()
  }
}

/** An authority of its own, to vouch for others. */
export function makeAuthority(name = "an authority of a test"): Certified & { readonly name: string } {
  return { name, ...makeCertificate({ name, isAuthority: true }) }
}
