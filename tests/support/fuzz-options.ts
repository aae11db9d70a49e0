/** `--seed N --runs N` of a fuzz target that is run by hand; a seed that was not given is drawn, and printed by who uses it. */
export function fuzzOptions(runsDefault: number): { readonly seed: number; readonly runs: number } {
  const option = (name: string, otherwise: number): number => {
    const index = process.argv.indexOf(name)
    const value = index < 0 ? otherwise : Number(process.argv[index + 1])
    if (Number.isSafeInteger(value)) return value
    console.error(`${name} needs a whole number`)
    process.exit(2)
  }
  return { seed: option("--seed", Math.floor(Math.random() * 2 ** 31)), runs: option("--runs", runsDefault) }
}
