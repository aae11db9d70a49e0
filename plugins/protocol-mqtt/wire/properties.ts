/**
 * The MQTT 5 properties: one table, one scanner, one reused view.
 */
/** What {@link scanProperties} found; reused. Scalars are -1 and ranges are -1, -1 where the property is absent. */
export declare class PropertyView {
  payloadFormatIndicator: number
  messageExpiryInterval: number
  /** The first one; the others follow in the bytes. */
  subscriptionIdentifier: number
  subscriptionIdentifierCount: number
  sessionExpiryInterval: number
  serverKeepAlive: number
  requestProblemInformation: number
  willDelayInterval: number
  requestResponseInformation: number
  receiveMaximum: number
  topicAliasMaximum: number
  topicAlias: number
  maximumQos: number
  retainAvailable: number
  maximumPacketSize: number
  wildcardSubscriptionAvailable: number
  subscriptionIdentifierAvailable: number
  sharedSubscriptionAvailable: number
  contentTypeStart: number
  contentTypeEnd: number
  responseTopicStart: number
  responseTopicEnd: number
  correlationDataStart: number
  correlationDataEnd: number
  assignedClientIdentifierStart: number
  assignedClientIdentifierEnd: number
  authenticationMethodStart: number
  authenticationMethodEnd: number
  authenticationDataStart: number
  authenticationDataEnd: number
  responseInformationStart: number
  responseInformationEnd: number
  serverReferenceStart: number
  serverReferenceEnd: number
  reasonStringStart: number
  reasonStringEnd: number
  userPropertyCount: number
  /** Position of the identifier byte of the first User Property. */
  userPropertiesStart: number
  /** Position after the last User Property; others may lie between. */
  userPropertiesEnd: number
  reset(): void
}
/** [start, end) = property bytes without their length; 0 or a Reason Code (0x81, 0x82, 0x94). */
export declare function scanProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  packetType: number,
  view: PropertyView
): number
export type UserProperties = ReadonlyArray<readonly [name: string, value: string]>
/** Builds the list; control packets only. */
export declare function readUserProperties(bytes: Uint8Array, start: number, end: number): UserProperties
