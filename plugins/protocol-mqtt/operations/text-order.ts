/** Orders texts as their UTF-8 bytes order, which is how keys of rows do. */
export function compareTexts(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index++) {
    const left = one.charCodeAt(index)
    const right = other.charCodeAt(index)
    if (left !== right) return rankOf(left) - rankOf(right)
  }
  return one.length - other.length
}

/** Half of a pair stands for a character above all that a unit alone stands for. */
function rankOf(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

/** The `count` first of those texts that come behind `after`, in their order: in one pass, holding twice as many. */
export function firstBehind(texts: Iterable<string>, after: string, count: number): ReadonlyArray<string> {
  const found: Array<string> = []
  let bound: string | undefined
  for (const text of texts) {
    if (compareTexts(text, after) <= 0 || (bound !== undefined && compareTexts(text, bound) >= 0)) continue
    found.push(text)
    if (found.length < count * 2) continue
    found.sort(compareTexts)
    found.length = count
    bound = found.at(-1)
  }
  return found.sort(compareTexts).slice(0, count)
}
