export const ROOT: string
export class BootstrapError extends Error {}
export function ensureInstalled(everything: boolean): void
export function installer(
  environment: Readonly<Record<string, string | undefined>>,
  runsOnBun: boolean,
  again: boolean
): ReadonlyArray<string>
export function bunPath(modules?: string, running?: string): string
export function denoPath(modules?: string): string
export function runProgram(program: string, args: ReadonlyArray<string>, stdin?: "ignore" | "inherit"): Promise<number>
