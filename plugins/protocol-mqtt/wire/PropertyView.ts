/**
 * Where the properties of one packet are and what they say: numbers and byte ranges, nothing decoded.
 *
 * Invariants: one instance is reused for many packets and is valid until the next scan into it; its ranges are
 * positions in the bytes that were scanned. A scalar is {@link ABSENT} and a range ABSENT, ABSENT where the property is
 * not there.
 */
import * as Table from "./property-table.ts"

/** No such property in the packet. */
export const ABSENT = -1

export class PropertyView {
  /** One bit a property that is there, as in the table; 0 = all fields have their first values. */
  present = 0
  payloadFormatIndicator = ABSENT
  /** Seconds, as all intervals. */
  messageExpiryInterval = ABSENT
  /** The first one; PUBLISH may carry more. */
  subscriptionIdentifier = ABSENT
  subscriptionIdentifierCount = 0
  sessionExpiryInterval = ABSENT
  serverKeepAlive = ABSENT
  requestProblemInformation = ABSENT
  willDelayInterval = ABSENT
  requestResponseInformation = ABSENT
  receiveMaximum = ABSENT
  topicAliasMaximum = ABSENT
  topicAlias = ABSENT
  maximumQos = ABSENT
  retainAvailable = ABSENT
  /** Bytes. */
  maximumPacketSize = ABSENT
  wildcardSubscriptionAvailable = ABSENT
  subscriptionIdentifierAvailable = ABSENT
  sharedSubscriptionAvailable = ABSENT
  contentTypeStart = ABSENT
  contentTypeEnd = ABSENT
  responseTopicStart = ABSENT
  responseTopicEnd = ABSENT
  correlationDataStart = ABSENT
  correlationDataEnd = ABSENT
  assignedClientIdentifierStart = ABSENT
  assignedClientIdentifierEnd = ABSENT
  authenticationMethodStart = ABSENT
  authenticationMethodEnd = ABSENT
  authenticationDataStart = ABSENT
  authenticationDataEnd = ABSENT
  responseInformationStart = ABSENT
  responseInformationEnd = ABSENT
  serverReferenceStart = ABSENT
  serverReferenceEnd = ABSENT
  reasonStringStart = ABSENT
  reasonStringEnd = ABSENT
  userPropertyCount = 0
  /** Position of the identifier byte of the first User Property. */
  userPropertiesStart = ABSENT
  /** Position after the last User Property; other properties may lie between. */
  userPropertiesEnd = ABSENT

  /** Back to the first values; costs one comparison where nothing was set. */
  reset(): void {
    if (this.present === 0) return
    this.present = 0
    this.payloadFormatIndicator = ABSENT
    this.messageExpiryInterval = ABSENT
    this.subscriptionIdentifier = ABSENT
    this.subscriptionIdentifierCount = 0
    this.sessionExpiryInterval = ABSENT
    this.serverKeepAlive = ABSENT
    this.requestProblemInformation = ABSENT
    this.willDelayInterval = ABSENT
    this.requestResponseInformation = ABSENT
    this.receiveMaximum = ABSENT
    this.topicAliasMaximum = ABSENT
    this.topicAlias = ABSENT
    this.maximumQos = ABSENT
    this.retainAvailable = ABSENT
    this.maximumPacketSize = ABSENT
    this.wildcardSubscriptionAvailable = ABSENT
    this.subscriptionIdentifierAvailable = ABSENT
    this.sharedSubscriptionAvailable = ABSENT
    this.contentTypeStart = this.contentTypeEnd = ABSENT
    this.responseTopicStart = this.responseTopicEnd = ABSENT
    this.correlationDataStart = this.correlationDataEnd = ABSENT
    this.assignedClientIdentifierStart = this.assignedClientIdentifierEnd = ABSENT
    this.authenticationMethodStart = this.authenticationMethodEnd = ABSENT
    this.authenticationDataStart = this.authenticationDataEnd = ABSENT
    this.responseInformationStart = this.responseInformationEnd = ABSENT
    this.serverReferenceStart = this.serverReferenceEnd = ABSENT
    this.reasonStringStart = this.reasonStringEnd = ABSENT
    this.userPropertyCount = 0
    this.userPropertiesStart = this.userPropertiesEnd = ABSENT
  }

  /** Notes the value of a numeric property. */
  setNumber(identifier: number, value: number): void {
    switch (identifier) {
      case Table.PAYLOAD_FORMAT_INDICATOR:
        this.payloadFormatIndicator = value
        break
      case Table.MESSAGE_EXPIRY_INTERVAL:
        this.messageExpiryInterval = value
        break
      case Table.SUBSCRIPTION_IDENTIFIER:
        if (this.subscriptionIdentifierCount++ === 0) this.subscriptionIdentifier = value
        break
      case Table.SESSION_EXPIRY_INTERVAL:
        this.sessionExpiryInterval = value
        break
      case Table.SERVER_KEEP_ALIVE:
        this.serverKeepAlive = value
        break
      case Table.REQUEST_PROBLEM_INFORMATION:
        this.requestProblemInformation = value
        break
      case Table.WILL_DELAY_INTERVAL:
        this.willDelayInterval = value
        break
      case Table.REQUEST_RESPONSE_INFORMATION:
        this.requestResponseInformation = value
        break
      case Table.RECEIVE_MAXIMUM:
        this.receiveMaximum = value
        break
      case Table.TOPIC_ALIAS_MAXIMUM:
        this.topicAliasMaximum = value
        break
      case Table.TOPIC_ALIAS:
        this.topicAlias = value
        break
      case Table.MAXIMUM_QOS:
        this.maximumQos = value
        break
      case Table.RETAIN_AVAILABLE:
        this.retainAvailable = value
        break
      case Table.MAXIMUM_PACKET_SIZE:
        this.maximumPacketSize = value
        break
      case Table.WILDCARD_SUBSCRIPTION_AVAILABLE:
        this.wildcardSubscriptionAvailable = value
        break
      case Table.SUBSCRIPTION_IDENTIFIER_AVAILABLE:
        this.subscriptionIdentifierAvailable = value
        break
      case Table.SHARED_SUBSCRIPTION_AVAILABLE:
        this.sharedSubscriptionAvailable = value
        break
    }
  }

  /** Notes where the value of a string or binary property lies, without its length. */
  setRange(identifier: number, start: number, end: number): void {
    switch (identifier) {
      case Table.CONTENT_TYPE:
        this.contentTypeStart = start
        this.contentTypeEnd = end
        break
      case Table.RESPONSE_TOPIC:
        this.responseTopicStart = start
        this.responseTopicEnd = end
        break
      case Table.CORRELATION_DATA:
        this.correlationDataStart = start
        this.correlationDataEnd = end
        break
      case Table.ASSIGNED_CLIENT_IDENTIFIER:
        this.assignedClientIdentifierStart = start
        this.assignedClientIdentifierEnd = end
        break
      case Table.AUTHENTICATION_METHOD:
        this.authenticationMethodStart = start
        this.authenticationMethodEnd = end
        break
      case Table.AUTHENTICATION_DATA:
        this.authenticationDataStart = start
        this.authenticationDataEnd = end
        break
      case Table.RESPONSE_INFORMATION:
        this.responseInformationStart = start
        this.responseInformationEnd = end
        break
      case Table.SERVER_REFERENCE:
        this.serverReferenceStart = start
        this.serverReferenceEnd = end
        break
      case Table.REASON_STRING:
        this.reasonStringStart = start
        this.reasonStringEnd = end
        break
    }
  }

  /** Notes one User Property that takes bytes[start, end), its identifier included. */
  addUserProperty(start: number, end: number): void {
    if (this.userPropertyCount++ === 0) this.userPropertiesStart = start
    this.userPropertiesEnd = end
  }
}
