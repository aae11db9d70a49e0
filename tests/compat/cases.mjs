/** The frame of the compatibility scripts in JavaScript: named cases with a time limit, one line each. */
let count = 0
let last = 0

/** A name that no other case uses; of plain characters. */
export const unique = (word = "c") => `${word}${process.pid}n${++last}`

/** Runs one case and writes its line. */
export async function testCase(name, body, timeoutMs = 8_000) {
  count++
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    await Promise.race([body(), limit])
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}: ${String(error?.message ?? error).split("\n")[0]}`)
  } finally {
    clearTimeout(timer)
  }
}

/** Ends the script. */
export function done() {
  console.log(`done ${count}`)
  process.exit(0)
}

export function equal(found, wanted, what = "value") {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (left !== right) throw new Error(`${what}: got ${left}, wanted ${right}`)
}
