/**
 * Decodes what a server sends, strictly: a packet that no server may send is an error of the test's opponent.
 *
 * Source: MQTT 5.0 (OASIS), chapters 2 and 3; MQTT 3.1.1, chapters 2 and 3.
 */
import {
  type AckType,
  nameOf,
  PROPERTIES,
  type Properties,
  type PropertyName,
  type PropertyType,
  type PropertyValue,
  type Qos,
  TYPE,
  type Version
} from "./mqtt-packets.ts"

const fatal = new TextDecoder("utf-8", { fatal: true })

export type Decoded =
  | { type: "connack"; sessionPresent: boolean; code: number; properties: Properties }
  | {
      type: "publish"
      topic: string
      payload: Uint8Array
      qos: Qos
      retain: boolean
      dup: boolean
      id: number
      properties: Properties
    }
  | { type: AckType; id: number; code: number; properties: Properties }
  | { type: "suback" | "unsuback"; id: number; codes: ReadonlyArray<number>; properties: Properties }
  | { type: "pingresp" }
  | { type: "disconnect"; code: number; properties: Properties }
  | { type: "auth"; code: number; properties: Properties }
export type DecodedType = Decoded["type"]
export type DecodedOf<T extends DecodedType> = Decoded & { type: T }

class Cursor {
  position = 0
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
  get left(): number {
    return this.bytes.length - this.position
  }
  take(length: number): Uint8Array {
    if (length > this.left)
      throw new Error(`the broker's packet ends early: ${Buffer.from(this.bytes).toString("hex")}`)
    this.position += length
    return this.bytes.subarray(this.position - length, this.position)
  }
  number(length: number): number {
    return this.take(length).reduce((value, byte) => value * 256 + byte, 0)
  }
  variable(): number {
    let value = 0
    for (let index = 0; index < 4; index++) {
      const byte = this.number(1)
      value += (byte & 127) * 128 ** index
      if (byte < 128) {
        if (byte === 0 && index > 0) throw new Error("the broker sent a variable byte integer that is not the shortest")
        return value
      }
    }
    throw new Error("the broker sent a variable byte integer of five bytes")
  }
  field(): Uint8Array {
    return this.take(this.number(2))
  }
  text(): string {
    return fatal.decode(this.field())
  }
  rest(): Uint8Array {
    return this.take(this.left)
  }
  properties(): Properties {
    const end = this.variable() + this.position
    const list: Array<readonly [PropertyName, PropertyValue]> = []
    while (this.position < end) {
      const identifier = this.number(1)
      const name = nameOf.get(identifier)
      if (name === undefined) throw new Error(`the broker sent the unknown property 0x${identifier.toString(16)}`)
      list.push([name, this.value(PROPERTIES[name][1])])
    }
    if (this.position !== end) throw new Error("the broker sent properties longer than their length")
    return list
  }
  value(type: PropertyType): PropertyValue {
    switch (type) {
      case "byte":
        return this.number(1)
      case "two":
        return this.number(2)
      case "four":
        return this.number(4)
      case "variable":
        return this.variable()
      case "binary":
        return this.field()
      case "text":
        return this.text()
      case "pair":
        return [this.text(), this.text()]
    }
  }
}

/** The length of the first packet in `bytes`, or undefined where it is not complete. */
export function packetLength(bytes: Uint8Array): number | undefined {
  let length = 0
  for (let index = 1; index < 5; index++) {
    const byte = bytes[index]
    if (byte === undefined) return undefined
    length += (byte & 127) * 128 ** (index - 1)
    if (byte < 128) {
      const total = 1 + index + length
      return bytes.length >= total ? total : undefined
    }
  }
  throw new Error("the broker sent a Remaining Length of five bytes")
}

/** Decodes one whole packet that a server sent; throws where no server may send it. */
export function decode(bytes: Uint8Array, version: Version): Decoded {
  const first = bytes[0] ?? 0
  const cursor = new Cursor(bytes)
  cursor.number(1)
  cursor.variable()
  const list = (): Properties => (version === 5 ? cursor.properties() : [])
  const optional = (): Properties => (version === 5 && cursor.left > 0 ? cursor.properties() : [])
  const result = decodeBody(first, cursor, list, optional)
  if (cursor.left > 0) throw new Error(`the broker's packet is too long: ${Buffer.from(bytes).toString("hex")}`)
  return result
}

function decodeBody(first: number, cursor: Cursor, list: () => Properties, optional: () => Properties): Decoded {
  const flags = first & 15
  const kind = first >> 4
  if (kind !== TYPE.publish && flags !== (kind === TYPE.pubrel ? 2 : 0)) {
    throw new Error(`the broker sent reserved flags: ${first.toString(16)}`)
  }
  switch (kind) {
    case TYPE.connack: {
      const acknowledge = cursor.number(1)
      if (acknowledge > 1) throw new Error(`the broker sent connect acknowledge flags ${acknowledge}`)
      const code = cursor.number(1)
      return { type: "connack", sessionPresent: acknowledge === 1, code, properties: list() }
    }
    case TYPE.publish: {
      const qos = (flags >> 1) & 3
      if (qos === 3) throw new Error("the broker sent QoS 3")
      const topic = cursor.text()
      const id = qos === 0 ? 0 : cursor.number(2)
      if (qos > 0 && id === 0) throw new Error("the broker sent packet identifier 0")
      const properties = list()
      return {
        type: "publish",
        topic,
        qos: qos as Qos,
        id,
        retain: (flags & 1) === 1,
        dup: (flags & 8) === 8,
        properties,
        payload: cursor.rest()
      }
    }
    case TYPE.puback:
    case TYPE.pubrec:
    case TYPE.pubrel:
    case TYPE.pubcomp: {
      const type = (["puback", "pubrec", "pubrel", "pubcomp"] as const)[kind - TYPE.puback] ?? "puback"
      const id = cursor.number(2)
      const code = cursor.left > 0 ? cursor.number(1) : 0
      return { type, id, code, properties: optional() }
    }
    case TYPE.suback:
    case TYPE.unsuback: {
      const id = cursor.number(2)
      const properties = list()
      return {
        type: kind === TYPE.suback ? "suback" : "unsuback",
        id,
        properties,
        codes: [...cursor.rest()]
      }
    }
    case TYPE.pingresp:
      return { type: "pingresp" }
    case TYPE.disconnect: {
      const code = cursor.left > 0 ? cursor.number(1) : 0
      return { type: "disconnect", code, properties: optional() }
    }
    case TYPE.auth: {
      const code = cursor.left > 0 ? cursor.number(1) : 0
      return { type: "auth", code, properties: optional() }
    }
    default:
      throw new Error(`the broker sent packet type ${kind}`)
  }
}
