/** What connections of ours have in common on every runtime: the address taken apart, the time that they may take, why they do not stand. */
import { Effect } from "effect"
import { CONNECT_MS, ConnectError, parseAddress } from "./Net.ts"

/** What an attempt tells of itself. The first of these counts, and nothing after it. */
export interface Attempt {
  /** It was given up, or has failed: what opens now is to be closed. */
  isOver(): boolean
  /** It stands: `open` is called before anybody is told. False = nobody wants it any more. */
  stands(open: () => void): boolean
  failed(error: unknown): void
}

/**
 * Connects: `begin` starts the attempt and returns what gives it up. It is given up when it takes longer than {@link CONNECT_MS}, and
 * when the effect is interrupted.
 */
export function connecting(
  address: string,
  begin: (host: string, port: number, attempt: Attempt) => () => void
): Effect.Effect<void, ConnectError> {
  return Effect.callback<void, ConnectError>((resume) => {
    let isOver = false
    let giveUp = (): void => {}
    const end = (): boolean => {
      if (isOver) return false
      isOver = true
      clearTimeout(timer)
      return true
    }
    const fail = (reason: string): void => {
      if (!end()) return
      giveUp()
      resume(Effect.fail(new ConnectError({ address, reason })))
    }
    const timer = setTimeout(() => fail(`it has not answered after ${CONNECT_MS / 1_000} s`), CONNECT_MS)
    const parsed = parseAddress(address)
    if (parsed === undefined) fail('expected "host:port"')
    else {
      giveUp = begin(parsed.host, parsed.port, {
        isOver: () => isOver,
        stands: (open) => {
          if (!end()) return false
          open()
          resume(Effect.void)
          return true
        },
        failed: (error) => fail(connectReason(error))
      })
    }
    return Effect.sync(() => {
      if (end()) giveUp()
    })
  })
}

/** One line that says why a connection does not stand. */
function connectReason(error: unknown): string {
  if (typeof error === "string") return error
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "ECONNREFUSED") return "nobody listens there"
  if (code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "DNS_ENOTFOUND") return "no such host"
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "there is no way to it"
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? ""
}
