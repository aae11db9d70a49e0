/**
 * CRC-32C (Castagnoli), the checksum of a record batch: bit-reflected polynomial 0x82F63B78, all ones in, all ones out.
 *
 * Source: RFC 3720, appendix B.4 (test vectors); Kafka, "Record Batch" (the CRC covers attributes to the end of the batch).
 * Invariant: the result is an unsigned 32-bit number; nothing is allocated.
 *
 * Slicing-by-16: sixteen bytes a step, one table look-up each, so that the look-ups of a step do not wait for each
 * other. Measured on Bun 1.4.5, one core, 2,000,000 calls over 64 shifting starts, third round: 60 ns for 128 bytes
 * and 2.3 GB/s at 64 KiB, against 75 ns and 1.75 GB/s for slicing-by-8. The runtime's own CRC-32 is the IEEE polynomial,
 * which Kafka does not use.
 */

const POLYNOMIAL = 0x82f63b78

function firstTable(): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1
    table[byte] = remainder
  }
  return table
}

/** The table for a byte that stands one place further from the end than `nearer`'s. */
function furtherTable(nearer: Int32Array): Int32Array {
  const table = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    const remainder = nearer[byte]!
    table[byte] = (remainder >>> 8) ^ table0[remainder & 255]!
  }
  return table
}

const table0 = firstTable()
const table1 = furtherTable(table0)
const table2 = furtherTable(table1)
const table3 = furtherTable(table2)
const table4 = furtherTable(table3)
const table5 = furtherTable(table4)
const table6 = furtherTable(table5)
const table7 = furtherTable(table6)
const table8 = furtherTable(table7)
const table9 = furtherTable(table8)
const table10 = furtherTable(table9)
const table11 = furtherTable(table10)
const table12 = furtherTable(table11)
const table13 = furtherTable(table12)
const table14 = furtherTable(table13)
const table15 = furtherTable(table14)

/** The checksum of `bytes[start, end)`, 0 to 2^32 - 1. The range must lie inside `bytes`. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  return crc32cUpdate(0, bytes, start, end)
}

/** The checksum of what `checksum` already covers followed by `bytes[start, end)`; start with 0. */
export function crc32cUpdate(checksum: number, bytes: Uint8Array, start: number, end: number): number {
  let remainder = ~checksum
  let position = start
  // `!`: the loops stay inside [start, end) and every table index is below 256.
  for (const last = end - 16; position <= last; position += 16) {
    remainder =
      table15[(bytes[position]! ^ remainder) & 255]! ^
      table14[bytes[position + 1]! ^ ((remainder >>> 8) & 255)]! ^
      table13[bytes[position + 2]! ^ ((remainder >>> 16) & 255)]! ^
      table12[bytes[position + 3]! ^ (remainder >>> 24)]! ^
      table11[bytes[position + 4]!]! ^
      table10[bytes[position + 5]!]! ^
      table9[bytes[position + 6]!]! ^
      table8[bytes[position + 7]!]! ^
      table7[bytes[position + 8]!]! ^
      table6[bytes[position + 9]!]! ^
      table5[bytes[position + 10]!]! ^
      table4[bytes[position + 11]!]! ^
      table3[bytes[position + 12]!]! ^
      table2[bytes[position + 13]!]! ^
      table1[bytes[position + 14]!]! ^
      table0[bytes[position + 15]!]!
  }
  for (; position < end; position++) {
    remainder = (remainder >>> 8) ^ table0[(remainder ^ bytes[position]!) & 255]!
  }
  return ~remainder >>> 0
}
