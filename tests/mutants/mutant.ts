/** A mutant: one behaviour of the product changed for the worse, and the tests that must notice. */
export interface Mutant {
  /** The statements of MQTT whose tests must fail, as they stand in the titles of tests: "MQTT-3.1.2-4". */
  readonly statements: ReadonlyArray<string>
  /** The file that is changed, from the root of the project. */
  readonly file: string
  /** What stands there, exactly once. */
  readonly find: string
  /** What stands there instead. */
  readonly replace: string
}
