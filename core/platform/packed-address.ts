/** Addresses of peers as small as can be: there are very many idle connections, and a string for each is too much to keep. */

/** An IPv4 address as a number of 32 bits; any other as it is. */
export type PackedAddress = string | number

const DOT = 0x2e
const ZERO = 0x30

/** Unit by unit: it is done for each connection. */
export function packAddress(address: string): PackedAddress {
  let packed = 0
  let byte = -1
  let dots = 0
  for (let index = 0; index < address.length; index++) {
    const unit = address.charCodeAt(index)
    if (unit === DOT && byte >= 0) {
      packed = packed * 256 + byte
      byte = -1
      dots += 1
    } else if (unit >= ZERO && unit <= ZERO + 9 && byte !== 0) byte = Math.max(byte, 0) * 10 + unit - ZERO
    else return address
    if (byte > 255) return address
  }
  return dots === 3 && byte >= 0 ? packed * 256 + byte : address
}

export function unpackAddress(address: PackedAddress): string {
  if (typeof address === "string") return address
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}
