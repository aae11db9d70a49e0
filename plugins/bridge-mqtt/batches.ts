/** Filters of several SUBSCRIBE or UNSUBSCRIBE packets, none of them larger than who gets it takes. */

/** Filters of one packet: more take long to answer. */
const FILTERS_MAX = 100
/** Fixed header, packet identifier and properties; and of each filter its length and options. */
const PACKET_BYTES = 8
const FILTER_BYTES = 3

export interface Batches<Item> {
  readonly packets: ReadonlyArray<ReadonlyArray<Item>>
  /** Their filters alone are larger. */
  readonly tooLarge: ReadonlyArray<Item>
}

export function batches<Item>(
  items: ReadonlyArray<Item>,
  packetSizeMax: number,
  filterOf: (item: Item) => string
): Batches<Item> {
  const packets: Array<Array<Item>> = []
  const tooLarge: Array<Item> = []
  let last: Array<Item> = []
  let size = 0
  for (const item of items) {
    const itemSize = FILTER_BYTES + Buffer.byteLength(filterOf(item))
    if (PACKET_BYTES + itemSize > packetSizeMax) {
      tooLarge.push(item)
      continue
    }
    if (last.length === 0 || last.length === FILTERS_MAX || size + itemSize > packetSizeMax) {
      last = []
      packets.push(last)
      size = PACKET_BYTES
    }
    last.push(item)
    size += itemSize
  }
  return { packets, tooLarge }
}
