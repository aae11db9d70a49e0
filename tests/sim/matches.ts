/** Whether a topic filter matches a topic name, by the words of MQTT 5.0 section 4.7 and apart from the product's indices. */
export function matches(filter: string, name: string): boolean {
  const wanted = filter.split("/")
  const levels = name.split("/")
  // [MQTT-4.7.2-1]
  if (name.startsWith("$") && (wanted[0] === "#" || wanted[0] === "+")) return false
  for (let index = 0; index < wanted.length; index++) {
    if (wanted[index] === "#") return true
    if (levels[index] === undefined) return false
    if (wanted[index] !== "+" && wanted[index] !== levels[index]) return false
  }
  return wanted.length === levels.length
}
