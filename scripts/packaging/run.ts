/** What `compile` and `bundle` have in common as commands. */
import { parseArgs } from "node:util"
import { UnreadableFile } from "../../cli/configuration.ts"
import { BuildError } from "./build.ts"
import { ManifestFaults } from "./contents.ts"
import { FormatError } from "./executable-format.ts"
import { UsageError } from "./targets.ts"

const FAILED = 1
const USAGE = 2
const BYTES_PER_MB = 1_000_000

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>

/** The flags that were typed. Throws {@link UsageError}. */
export function readWords<const O extends Options>(options: O) {
  try {
    return parseArgs({ options, strict: true }).values
  } catch (error) {
    if (error instanceof TypeError)
      throw new UsageError(`${error.message}; known: --${Object.keys(options).join(", --")}`)
    throw error
  }
}

/** Does the work; tells what went wrong, one line a fault, and ends with the exit code, whatever an imported plugin still does. */
export async function runToEnd(work: () => Promise<void>): Promise<never> {
  try {
    await work()
    return process.exit(0)
  } catch (error) {
    const isTold = [UsageError, UnreadableFile, ManifestFaults, BuildError, FormatError].some(
      (kind) => error instanceof kind
    )
    if (!isTold) throw error
    for (const line of (error as Error).message.split("\n")) console.error(`manifold: ${line}`)
    return process.exit(error instanceof UsageError ? USAGE : FAILED)
  }
}

export function show(bytes: number): string {
  return `${(bytes / BYTES_PER_MB).toFixed(2)} MB`
}
