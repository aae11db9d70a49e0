/**
 * The certificates of a TLS listener, read from files and read again when these change: a new certificate is shown without a restart.
 *
 * Invariants
 *  - What is shown was checked: the key is the certificate's. Files that cannot be used change nothing, and are told of in one line.
 *  - The private key is in memory and in no line.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
import { Effect, Schema, type Scope } from "effect"
import type { ClockShape } from "./Clock.ts"
import type { FilesShape } from "./Files.ts"
import type { TlsOptions, TlsSource } from "./Net.ts"

/** How often the files are looked at, ms. */
export const LOOK_MS = 5_000

/** Paths, and what is asked of clients. */
export interface CertificateFiles {
  readonly certificate: string
  readonly privateKey: string
  /** "" = clients are not asked for a certificate. */
  readonly clientCa: string
  readonly requiresClient: boolean
}

/** Why certificates cannot be used; one line for a person. */
export class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

export interface CertificateParts {
  readonly files: Pick<FilesShape, "readText">
  readonly clock: ClockShape
  /** Takes a line about certificates that were changed, or could not be. */
  readonly tell: (line: string, isFault: boolean) => void
}

/** The options that the files make, checked; what expires is used, and told of. */
function readCertificates(wanted: CertificateFiles, files: CertificateParts["files"]) {
  const text = (pathname: string) =>
    files.readText(pathname).pipe(Effect.mapError(({ message }) => new CertificateError({ reason: message })))
  return Effect.gen(function* () {
    const options: TlsOptions = {
      certificate: yield* text(wanted.certificate),
      privateKey: yield* text(wanted.privateKey),
      clientCa: wanted.clientCa === "" ? "" : yield* text(wanted.clientCa),
      requiresClient: wanted.requiresClient
    }
    const certificate = yield* parsed(wanted.certificate, "certificate", () => new X509Certificate(options.certificate))
    const key = yield* parsed(wanted.privateKey, "private key", () => createPrivateKey(options.privateKey))
    if (!certificate.checkPrivateKey(key)) {
      const reason = `${wanted.privateKey} is not the key of the certificate in ${wanted.certificate}`
      return yield* Effect.fail(new CertificateError({ reason }))
    }
    if (options.clientCa !== "")
      yield* parsed(wanted.clientCa, "certificate", () => new X509Certificate(options.clientCa))
    return { options, expiresAtMs: Date.parse(certificate.validTo) }
  })
}

function parsed<Parsed>(pathname: string, what: string, parse: () => Parsed): Effect.Effect<Parsed, CertificateError> {
  return Effect.try({
    try: parse,
    catch: () => new CertificateError({ reason: `${pathname} holds no ${what} in PEM form` })
  })
}

/** Reads certificates, and looks for new ones for the life of the scope. */
export function watchCertificates(
  wanted: CertificateFiles,
  { files, clock, tell }: CertificateParts
): Effect.Effect<TlsSource, CertificateError, Scope.Scope> {
  return Effect.gen(function* () {
    let { options, expiresAtMs } = yield* readCertificates(wanted, files)
    const listeners: Array<() => void> = []
    let fault = ""
    let isOver = false
    const warn = (): void => {
      if (expiresAtMs <= clock.nowMs()) tell(`the certificate in ${wanted.certificate} has expired`, true)
    }
    const failed = (reason: string): void => {
      if (reason !== fault) tell(`the certificate stays what it was: ${reason}`, true)
      fault = reason
    }
    const look = (): void => {
      if (isOver) return
      void Effect.runPromise(Effect.result(readCertificates(wanted, files))).then((result) => {
        if (isOver) return
        if (result._tag === "Failure") failed(result.failure.message)
        else {
          fault = ""
          if (!isSame(result.success.options, options)) {
            ;({ options, expiresAtMs } = result.success)
            for (const changed of listeners) changed()
            tell(`the certificate in ${wanted.certificate} is shown from now on`, false)
            warn()
          }
        }
        timer = clock.after(LOOK_MS, look)
      })
    }
    let timer = clock.after(LOOK_MS, look)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isOver = true
        timer.cancel()
      })
    )
    warn()
    return {
      get current() {
        return options
      },
      onChange: (changed) => void listeners.push(changed)
    }
  })
}

function isSame(one: TlsOptions, other: TlsOptions): boolean {
  return one.certificate === other.certificate && one.privateKey === other.privateKey && one.clientCa === other.clientCa
}
