/** Bytes for modules that load nothing else of core. */
export { ByteReader, ByteWriter } from "./bytes.ts"
