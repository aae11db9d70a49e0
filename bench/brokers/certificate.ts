/** The certificate of a broker that is measured over TLS: made for the run, ECDSA over P-256, gone with its folder. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeCertificate } from "../../tests/support/certificates.ts"

/** PEM files. */
export interface CertificateFiles {
  readonly certificate: string
  readonly privateKey: string
}

/** Writes a certificate for 127.0.0.1 that vouches for itself, and its key, into `folder`. */
export function certificateIn(folder: string): CertificateFiles {
  const made = makeCertificate({ name: "bench", hosts: ["127.0.0.1"] })
  const files = { certificate: join(folder, "certificate.pem"), privateKey: join(folder, "key.pem") }
  writeFileSync(files.certificate, made.certificate)
  writeFileSync(files.privateKey, made.privateKey, { mode: 0o600 })
  return files
}
