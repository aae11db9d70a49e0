/** Cuts a byte stream into packets. */
/** From a handler: this packet is taken, stop before the next one; from feed and resume: stopped that way. */
export const PAUSED = -1
export interface PacketHandler {
  /** bytes[start, end) follows the fixed header and may be kept; 0 = go on, PAUSED, or a Reason Code that ends the stream. */
  packet(bytes: Uint8Array, firstByte: number, start: number, end: number): number
}
export declare class PacketStream {
  /** Bytes of a whole packet, header included; 65,536 until the handler of CONNECT raises it. */
  maximumPacketSize: number
  /** Bytes held back (a partial packet, or what waits while paused): for the connection's budget. */
  get bufferedSize(): number
  /** True once anything but a whole number of packets has come: the peer is in the middle of one. */
  get midPacket(): boolean
  /** 0, PAUSED or a Reason Code. While paused a chunk is kept and PAUSED returned. */
  feed(chunk: Uint8Array, handler: PacketHandler): number
  resume(handler: PacketHandler): number
  /** Lets go of everything. */
  clear(): void
}
