/** Types of the two pure-JavaScript codecs that tests compress with; the packages bring none. */
declare module "lz4js" {
  const codec: { compress(bytes: Uint8Array): Uint8Array; decompress(bytes: Uint8Array): Uint8Array }
  export default codec
}
declare module "snappyjs" {
  const codec: { compress(bytes: Uint8Array): Uint8Array; uncompress(bytes: Uint8Array): Uint8Array }
  export default codec
}
