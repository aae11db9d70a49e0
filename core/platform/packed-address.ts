/** Addresses of peers as small as can be: there are very many idle connections, and a string for each is too much to keep. */

/** An IPv4 address as a number of 32 bits; any other as it is. */
export type PackedAddress = string | number

const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

export function packAddress(address: string): PackedAddress {
  const bytes = IPV4.exec(address)?.slice(1).map(Number)
  if (bytes === undefined) return address
  const packed = bytes.reduce((number, byte) => number * 256 + byte, 0)
  // Not what is no address, or is one in another form.
  return unpackAddress(packed) === address ? packed : address
}

export function unpackAddress(address: PackedAddress): string {
  if (typeof address === "string") return address
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}
