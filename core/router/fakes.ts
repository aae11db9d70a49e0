/** What tests of the tables of texts share. */

/** How many code units are looked at while `run` runs. */
export function unitsRead(run: () => void): number {
  const { charCodeAt } = String.prototype
  let count = 0
  String.prototype.charCodeAt = function counted(this: string, index: number): number {
    count += 1
    return charCodeAt.call(this, index)
  }
  try {
    run()
  } finally {
    String.prototype.charCodeAt = charCodeAt
  }
  return count
}
