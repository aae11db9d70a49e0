/** All mutants. */
import { connectMutants } from "./connect.ts"
import type { Mutant } from "./mutant.ts"
import { publishMutants } from "./publish.ts"
import { sessionMutants } from "./session.ts"
import { subscribeMutants } from "./subscribe.ts"

export const MUTANTS: ReadonlyArray<Mutant> = [
  ...connectMutants,
  ...publishMutants,
  ...subscribeMutants,
  ...sessionMutants
]
