/**
 * A small MQTT 3.1, 3.1.1 and 5.0 codec for tests: written apart from the product's and from mqtt-packet, so that neither
 * can hide the other's fault. It encodes whatever it is told, right or wrong, and decodes strictly: what a server must never
 * send is an error. Properties are a list, because their order is observable.
 *
 * Source: MQTT 5.0 (OASIS), chapters 2 and 3; MQTT 3.1.1, chapters 2 and 3.
 */

export type Version = 3 | 4 | 5
export type Qos = 0 | 1 | 2
export type PropertyValue = number | string | Uint8Array | readonly [string, string]
export type Properties = ReadonlyArray<readonly [PropertyName, PropertyValue]>

export type PropertyType = "byte" | "two" | "four" | "variable" | "binary" | "text" | "pair"
/** MQTT 5.0, table 2-4. */
export const PROPERTIES = {
  payloadFormat: [0x01, "byte"],
  messageExpiry: [0x02, "four"],
  contentType: [0x03, "text"],
  responseTopic: [0x08, "text"],
  correlationData: [0x09, "binary"],
  subscriptionIdentifier: [0x0b, "variable"],
  sessionExpiry: [0x11, "four"],
  assignedClientIdentifier: [0x12, "text"],
  serverKeepAlive: [0x13, "two"],
  authenticationMethod: [0x15, "text"],
  authenticationData: [0x16, "binary"],
  requestProblemInformation: [0x17, "byte"],
  willDelay: [0x18, "four"],
  requestResponseInformation: [0x19, "byte"],
  responseInformation: [0x1a, "text"],
  serverReference: [0x1c, "text"],
  reasonString: [0x1f, "text"],
  receiveMaximum: [0x21, "two"],
  topicAliasMaximum: [0x22, "two"],
  topicAlias: [0x23, "two"],
  maximumQos: [0x24, "byte"],
  retainAvailable: [0x25, "byte"],
  userProperty: [0x26, "pair"],
  maximumPacketSize: [0x27, "four"],
  wildcardAvailable: [0x28, "byte"],
  subscriptionIdentifierAvailable: [0x29, "byte"],
  sharedAvailable: [0x2a, "byte"]
} as const satisfies Record<string, readonly [number, PropertyType]>
export type PropertyName = keyof typeof PROPERTIES

const names = Object.keys(PROPERTIES) as Array<PropertyName>
export const nameOf = new Map<number, PropertyName>(names.map((name) => [PROPERTIES[name][0], name]))

export const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15
} as const
export type AckType = "puback" | "pubrec" | "pubrel" | "pubcomp"

const utf8 = new TextEncoder()
const fatal = new TextDecoder("utf-8", { fatal: true })
export const bytesOf = (value: string | Uint8Array): Uint8Array =>
  typeof value === "string" ? utf8.encode(value) : value
export const textOf = (bytes: Uint8Array): string => fatal.decode(bytes)

export const two = (value: number): Uint8Array => Uint8Array.of((value >> 8) & 255, value & 255)
const four = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
export function variable(value: number): Uint8Array {
  const bytes: Array<number> = []
  do {
    const low = value % 128
    value = Math.floor(value / 128)
    bytes.push(value > 0 ? low | 128 : low)
  } while (value > 0)
  return Uint8Array.from(bytes)
}
/** Two bytes of length, then the bytes. */
export function field(value: string | Uint8Array): Uint8Array {
  const bytes = bytesOf(value)
  return concat(two(bytes.length), bytes)
}
export function concat(...parts: ReadonlyArray<Uint8Array>): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

function property(name: PropertyName, value: PropertyValue): Uint8Array {
  const [identifier, type] = PROPERTIES[name]
  const wrong = (): never => {
    throw new Error(`${name} takes ${type}, not ${String(value)}`)
  }
  const number = (): number => (typeof value === "number" ? value : wrong())
  const body = (): Uint8Array => {
    switch (type) {
      case "byte":
        return Uint8Array.of(number())
      case "two":
        return two(number())
      case "four":
        return four(number())
      case "variable":
        return variable(number())
      case "binary":
      case "text":
        return typeof value === "string" || value instanceof Uint8Array ? field(value) : wrong()
      case "pair":
        return typeof value === "object" && !(value instanceof Uint8Array)
          ? concat(field(value[0]), field(value[1]))
          : wrong()
    }
  }
  return concat(Uint8Array.of(identifier), body())
}

/** A property section with its length. */
export function properties(list: Properties): Uint8Array {
  const body = concat(...list.map(([name, value]) => property(name, value)))
  return concat(variable(body.length), body)
}

/** A control packet from its first byte and the bytes after its Remaining Length. */
export function packet(firstByte: number, ...parts: ReadonlyArray<Uint8Array>): Uint8Array {
  const body = concat(...parts)
  return concat(Uint8Array.of(firstByte), variable(body.length), body)
}

export interface Will {
  readonly topic: string
  readonly payload: string | Uint8Array
  readonly qos?: Qos
  readonly retain?: boolean
  readonly properties?: Properties
}
export interface Connect {
  readonly version?: Version
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly username?: string
  readonly password?: string
  readonly will?: Will
  readonly properties?: Properties
}
export interface Publish {
  readonly topic: string
  readonly payload?: string | Uint8Array
  readonly qos?: Qos
  readonly retain?: boolean
  readonly dup?: boolean
  readonly id?: number
  readonly properties?: Properties
}
/** Subscription options of version 5; below it the QoS alone. */
export interface Filter {
  readonly filter: string
  readonly qos?: Qos
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: 0 | 1 | 2
}

export const encode = {
  connect(connect: Connect): Uint8Array {
    const version = connect.version ?? 4
    const { will } = connect
    const flags =
      (connect.clean === false ? 0 : 2) |
      (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 32 : 0)) |
      (connect.password === undefined ? 0 : 64) |
      (connect.username === undefined ? 0 : 128)
    const none = new Uint8Array(0)
    return packet(
      0x10,
      field(version === 3 ? "MQIsdp" : "MQTT"),
      Uint8Array.of(version, flags),
      two(connect.keepAlive ?? 0),
      version === 5 ? properties(connect.properties ?? []) : none,
      field(connect.clientId ?? ""),
      will !== undefined && version === 5 ? properties(will.properties ?? []) : none,
      will === undefined ? none : concat(field(will.topic), field(will.payload)),
      connect.username === undefined ? none : field(connect.username),
      connect.password === undefined ? none : field(connect.password)
    )
  },
  publish(version: Version, publish: Publish): Uint8Array {
    const qos = publish.qos ?? 0
    return packet(
      0x30 | (publish.dup === true ? 8 : 0) | (qos << 1) | (publish.retain === true ? 1 : 0),
      field(publish.topic),
      qos === 0 ? new Uint8Array(0) : two(publish.id ?? 1),
      version === 5 ? properties(publish.properties ?? []) : new Uint8Array(0),
      bytesOf(publish.payload ?? "")
    )
  },
  subscribe(version: Version, id: number, filters: ReadonlyArray<Filter>, list: Properties = []): Uint8Array {
    return packet(
      0x82,
      two(id),
      version === 5 ? properties(list) : new Uint8Array(0),
      ...filters.map((entry) =>
        concat(
          field(entry.filter),
          Uint8Array.of(
            (entry.qos ?? 0) |
              (entry.noLocal === true ? 4 : 0) |
              (entry.retainAsPublished === true ? 8 : 0) |
              ((entry.retainHandling ?? 0) << 4)
          )
        )
      )
    )
  },
  unsubscribe(version: Version, id: number, filters: ReadonlyArray<string>): Uint8Array {
    return packet(0xa2, two(id), version === 5 ? properties([]) : new Uint8Array(0), ...filters.map(field))
  },
  ack(type: AckType, id: number, reason?: number): Uint8Array {
    const first = (TYPE[type] << 4) | (type === "pubrel" ? 2 : 0)
    return packet(first, two(id), reason === undefined ? new Uint8Array(0) : Uint8Array.of(reason))
  },
  pingreq(): Uint8Array {
    return packet(0xc0)
  },
  auth(code: number, list: Properties = []): Uint8Array {
    return packet(0xf0, Uint8Array.of(code), properties(list))
  },
  disconnect(version: Version, reason?: number, list: Properties = []): Uint8Array {
    if (version < 5 || reason === undefined) return packet(0xe0)
    return packet(0xe0, Uint8Array.of(reason), properties(list))
  }
}

/** The value of a property that stands at most once. */
export function propertyOf(list: Properties, name: PropertyName): PropertyValue | undefined {
  const found = list.filter(([each]) => each === name)
  if (found.length > 1) throw new Error(`${name} stands ${found.length} times`)
  return found[0]?.[1]
}

/** All values of a property, in their order. */
export function propertiesOf(list: Properties, name: PropertyName): ReadonlyArray<PropertyValue> {
  return list.filter(([each]) => each === name).map(([, value]) => value)
}
