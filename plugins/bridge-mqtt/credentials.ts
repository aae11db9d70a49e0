/**
 * What a bridge shows to its remote: the password, a certificate, and whom it trusts itself.
 *
 * Invariant: files are read at each attempt, so that what was changed is shown from the next connection on; what cannot be read costs the
 * attempt, and nothing of what was read is in the reason.
 */
import { Effect } from "effect"
import { type FilesShape, parseAddress, type TlsClientOptions } from "../../core/mod.ts"
import { LinkError } from "./LinkError.ts"
import { type BridgeSettings, FIELD_BYTES_MAX } from "./Settings.ts"

type Files = Pick<FilesShape, "readText">

/** The password of the options, or of their file, without the line break at its end; "" = none. */
export function passwordOf(
  { password, password_file: path }: BridgeSettings,
  files: Files
): Effect.Effect<string, LinkError> {
  if (path === "") return Effect.succeed(password)
  return textOf(path, files).pipe(
    Effect.map((text) => text.replace(/\r?\n$/, "")),
    Effect.filterOrFail(
      (text) => Buffer.byteLength(text) <= FIELD_BYTES_MAX,
      () => new LinkError({ reason: `the password in ${path} has more than ${FIELD_BYTES_MAX} bytes` })
    )
  )
}

function textOf(path: string, files: Files): Effect.Effect<string, LinkError> {
  if (path === "") return Effect.succeed("")
  return files.readText(path).pipe(Effect.mapError(({ message }) => new LinkError({ reason: message })))
}

/** What the files say, each time anew: a certificate that was changed is shown from the next connection on. */
export function tlsOf(settings: BridgeSettings, files: Files): Effect.Effect<TlsClientOptions | undefined, LinkError> {
  if (!settings.tls) return Effect.succeed(undefined)
  const host = parseAddress(settings.remote)?.host ?? ""
  return Effect.all({
    serverName: Effect.succeed(settings.server_name === "" ? host : settings.server_name),
    ca: textOf(settings.ca, files),
    certificate: textOf(settings.certificate, files),
    privateKey: textOf(settings.private_key, files)
  })
}
