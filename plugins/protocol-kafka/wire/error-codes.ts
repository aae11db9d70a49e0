/**
 * Every error code of the Kafka protocol, as data: code, name, whether a client that waits and asks again may succeed, and what it
 * means in a line for a person. Handlers use the names through {@link ErrorCode}; counters and logs look up {@link errorName}.
 *
 * Source: org.apache.kafka.common.protocol.Errors of Apache Kafka 4.3 (codes, names, which are RetriableException).
 */

export const ERROR_CODES = [
  [-1, "UNKNOWN_SERVER_ERROR", false, "the broker met an error it has no code for"],
  [0, "NONE", false, "no error"],
  [1, "OFFSET_OUT_OF_RANGE", false, "the offset lies outside the log"],
  [2, "CORRUPT_MESSAGE", true, "the record batch does not match its checksum or its form"],
  [3, "UNKNOWN_TOPIC_OR_PARTITION", true, "no such topic or partition"],
  [4, "INVALID_FETCH_SIZE", false, "the fetch size is not possible"],
  [5, "LEADER_NOT_AVAILABLE", true, "the partition has no leader at the moment"],
  [6, "NOT_LEADER_OR_FOLLOWER", true, "another broker leads this partition"],
  [7, "REQUEST_TIMED_OUT", true, "the request took longer than it allowed"],
  [8, "BROKER_NOT_AVAILABLE", false, "the broker is not there"],
  [9, "REPLICA_NOT_AVAILABLE", true, "the replica is not there"],
  [10, "MESSAGE_TOO_LARGE", false, "the record batch is larger than max.message.bytes"],
  [11, "STALE_CONTROLLER_EPOCH", false, "the controller has moved"],
  [12, "OFFSET_METADATA_TOO_LARGE", false, "the metadata of a committed offset is too long"],
  [13, "NETWORK_EXCEPTION", true, "the connection ended before the answer"],
  [14, "COORDINATOR_LOAD_IN_PROGRESS", true, "the coordinator is still loading"],
  [15, "COORDINATOR_NOT_AVAILABLE", true, "no coordinator is there"],
  [16, "NOT_COORDINATOR", true, "another broker is the coordinator"],
  [17, "INVALID_TOPIC_EXCEPTION", false, "the topic name is not valid"],
  [18, "RECORD_LIST_TOO_LARGE", false, "the record batch is larger than a segment"],
  [19, "NOT_ENOUGH_REPLICAS", true, "too few replicas are in sync"],
  [20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "stored, but on too few replicas"],
  [21, "INVALID_REQUIRED_ACKS", false, "acks is none of -1, 0, 1"],
  [22, "ILLEGAL_GENERATION", false, "the group is in another generation"],
  [23, "INCONSISTENT_GROUP_PROTOCOL", false, "the member shares no protocol with its group"],
  [24, "INVALID_GROUP_ID", false, "the group id is not valid"],
  [25, "UNKNOWN_MEMBER_ID", false, "the group does not know this member"],
  [26, "INVALID_SESSION_TIMEOUT", false, "the session timeout is out of bounds"],
  [27, "REBALANCE_IN_PROGRESS", false, "the group rebalances; join again"],
  [28, "INVALID_COMMIT_OFFSET_SIZE", false, "the committed offsets are too large"],
  [29, "TOPIC_AUTHORIZATION_FAILED", false, "no right to this topic"],
  [30, "GROUP_AUTHORIZATION_FAILED", false, "no right to this group"],
  [31, "CLUSTER_AUTHORIZATION_FAILED", false, "no right to the cluster"],
  [32, "INVALID_TIMESTAMP", false, "the timestamp is out of bounds"],
  [33, "UNSUPPORTED_SASL_MECHANISM", false, "the SASL mechanism is not offered"],
  [34, "ILLEGAL_SASL_STATE", false, "the request does not fit the state of the login"],
  [35, "UNSUPPORTED_VERSION", false, "this version of the API is not served"],
  [36, "TOPIC_ALREADY_EXISTS", false, "the topic is there already"],
  [37, "INVALID_PARTITIONS", false, "the number of partitions is not possible"],
  [38, "INVALID_REPLICATION_FACTOR", false, "the replication factor is not possible"],
  [39, "INVALID_REPLICA_ASSIGNMENT", false, "the replica assignment is not possible"],
  [40, "INVALID_CONFIG", false, "the configuration is not valid"],
  [41, "NOT_CONTROLLER", true, "another broker is the controller"],
  [42, "INVALID_REQUEST", false, "the request contradicts itself or the protocol"],
  [43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false, "the message format does not allow it"],
  [44, "POLICY_VIOLATION", false, "a policy of the broker forbids it"],
  [45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false, "the sequence number leaves a gap"],
  [46, "DUPLICATE_SEQUENCE_NUMBER", false, "the sequence number was seen before"],
  [47, "INVALID_PRODUCER_EPOCH", false, "the producer epoch is an old one"],
  [48, "INVALID_TXN_STATE", false, "the transaction's state does not allow it"],
  [49, "INVALID_PRODUCER_ID_MAPPING", false, "the producer id does not belong to the transactional id"],
  [50, "INVALID_TRANSACTION_TIMEOUT", false, "the transaction timeout is above the broker's bound"],
  [51, "CONCURRENT_TRANSACTIONS", true, "the transactional id is busy"],
  [52, "TRANSACTION_COORDINATOR_FENCED", false, "another coordinator has taken over"],
  [53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "no right to this transactional id"],
  [54, "SECURITY_DISABLED", false, "no access rules are in force"],
  [55, "OPERATION_NOT_ATTEMPTED", false, "another part of the request failed first"],
  [56, "KAFKA_STORAGE_ERROR", true, "the storage failed"],
  [57, "LOG_DIR_NOT_FOUND", false, "no such log directory"],
  [58, "SASL_AUTHENTICATION_FAILED", false, "the login failed"],
  [59, "UNKNOWN_PRODUCER_ID", false, "nothing is known of this producer any more"],
  [60, "REASSIGNMENT_IN_PROGRESS", false, "the partition is being moved"],
  [61, "DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are turned off"],
  [62, "DELEGATION_TOKEN_NOT_FOUND", false, "no such delegation token"],
  [63, "DELEGATION_TOKEN_OWNER_MISMATCH", false, "the delegation token belongs to somebody else"],
  [64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false, "delegation tokens are not given on this connection"],
  [65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "no right to this delegation token"],
  [66, "DELEGATION_TOKEN_EXPIRED", false, "the delegation token has expired"],
  [67, "INVALID_PRINCIPAL_TYPE", false, "this kind of principal is not supported"],
  [68, "NON_EMPTY_GROUP", false, "the group has members"],
  [69, "GROUP_ID_NOT_FOUND", false, "no such group"],
  [70, "FETCH_SESSION_ID_NOT_FOUND", true, "no such fetch session"],
  [71, "INVALID_FETCH_SESSION_EPOCH", true, "the fetch session is at another epoch"],
  [72, "LISTENER_NOT_FOUND", true, "the leader has no such listener"],
  [73, "TOPIC_DELETION_DISABLED", false, "topics may not be deleted"],
  [74, "FENCED_LEADER_EPOCH", true, "the leader epoch is an old one"],
  [75, "UNKNOWN_LEADER_EPOCH", true, "the leader epoch is not known yet"],
  [76, "UNSUPPORTED_COMPRESSION_TYPE", false, "the compression is not supported in this version"],
  [77, "STALE_BROKER_EPOCH", false, "the broker has registered again since"],
  [78, "OFFSET_NOT_AVAILABLE", true, "the high watermark has not caught up yet"],
  [79, "MEMBER_ID_REQUIRED", false, "join again with the member id that was given"],
  [80, "PREFERRED_LEADER_NOT_AVAILABLE", true, "the preferred leader is not there"],
  [81, "GROUP_MAX_SIZE_REACHED", false, "the group is full"],
  [82, "FENCED_INSTANCE_ID", false, "another member has taken over the instance id"],
  [83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no replica may become leader"],
  [84, "ELECTION_NOT_NEEDED", true, "the partition has its leader"],
  [85, "NO_REASSIGNMENT_IN_PROGRESS", false, "the partition is not being moved"],
  [86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "the group is subscribed to the topic"],
  [87, "INVALID_RECORD", false, "the records are not acceptable"],
  [88, "UNSTABLE_OFFSET_COMMIT", true, "a transaction holds these offsets"],
  [89, "THROTTLING_QUOTA_EXCEEDED", true, "a quota is used up"],
  [90, "PRODUCER_FENCED", false, "a newer producer has taken over"],
  [91, "RESOURCE_NOT_FOUND", false, "no such resource"],
  [92, "DUPLICATE_RESOURCE", false, "the resource stands twice in the request"],
  [93, "UNACCEPTABLE_CREDENTIAL", false, "the credential does not meet the rules"],
  [94, "INCONSISTENT_VOTER_SET", false, "sender or receiver is not a voter"],
  [95, "INVALID_UPDATE_VERSION", false, "the version of the update is not valid"],
  [96, "FEATURE_UPDATE_FAILED", false, "the feature could not be changed"],
  [97, "PRINCIPAL_DESERIALIZATION_FAILURE", false, "the forwarded principal cannot be read"],
  [98, "SNAPSHOT_NOT_FOUND", false, "no such snapshot"],
  [99, "POSITION_OUT_OF_RANGE", false, "the position lies outside the snapshot"],
  [100, "UNKNOWN_TOPIC_ID", true, "no topic has this id"],
  [101, "DUPLICATE_BROKER_REGISTRATION", false, "the broker id is taken"],
  [102, "BROKER_ID_NOT_REGISTERED", false, "no broker has this id"],
  [103, "INCONSISTENT_TOPIC_ID", true, "the log belongs to another topic id"],
  [104, "INCONSISTENT_CLUSTER_ID", false, "this is another cluster"],
  [105, "TRANSACTIONAL_ID_NOT_FOUND", false, "no such transactional id"],
  [106, "FETCH_SESSION_TOPIC_ID_ERROR", true, "the fetch session mixes topic ids and names"],
  [107, "INELIGIBLE_REPLICA", false, "the replica may not join the in-sync set"],
  [108, "NEW_LEADER_ELECTED", false, "the leader has changed"],
  [109, "OFFSET_MOVED_TO_TIERED_STORAGE", false, "the offset lies in the cold tier"],
  [110, "FENCED_MEMBER_EPOCH", false, "the member epoch is fenced; join again"],
  [111, "UNRELEASED_INSTANCE_ID", false, "another member still holds the instance id"],
  [112, "UNSUPPORTED_ASSIGNOR", false, "the assignor is not supported"],
  [113, "STALE_MEMBER_EPOCH", false, "the member epoch is an old one"],
  [114, "MISMATCHED_ENDPOINT_TYPE", false, "the request belongs to another kind of endpoint"],
  [115, "UNSUPPORTED_ENDPOINT_TYPE", false, "this kind of endpoint is not supported"],
  [116, "UNKNOWN_CONTROLLER_ID", false, "no such controller"],
  [117, "UNKNOWN_SUBSCRIPTION_ID", false, "the telemetry subscription is an old one"],
  [118, "TELEMETRY_TOO_LARGE", false, "the telemetry is too large"],
  [119, "INVALID_REGISTRATION", false, "the registration of the broker is not valid"],
  [120, "TRANSACTION_ABORTABLE", false, "the transaction must be aborted; the producer may go on"],
  [121, "INVALID_RECORD_STATE", false, "the record is not in a state that can be acknowledged"],
  [122, "SHARE_SESSION_NOT_FOUND", true, "no such share session"],
  [123, "INVALID_SHARE_SESSION_EPOCH", true, "the share session is at another epoch"],
  [124, "FENCED_STATE_EPOCH", false, "the state epoch of the share group is another one"],
  [125, "INVALID_VOTER_KEY", false, "the voter key is not the replica's"],
  [126, "DUPLICATE_VOTER", false, "the voter is in the set already"],
  [127, "VOTER_NOT_FOUND", false, "no such voter"],
  [128, "INVALID_REGULAR_EXPRESSION", false, "the regular expression is not valid"],
  [129, "REBOOTSTRAP_REQUIRED", false, "the metadata is too old; start from the bootstrap servers"],
  [130, "STREAMS_INVALID_TOPOLOGY", false, "the topology is not valid"],
  [131, "STREAMS_INVALID_TOPOLOGY_EPOCH", false, "the topology epoch is not valid"],
  [132, "STREAMS_TOPOLOGY_FENCED", false, "the topology epoch is an old one"],
  [133, "SHARE_SESSION_LIMIT_REACHED", true, "there are too many share sessions"]
] as const

type Row = (typeof ERROR_CODES)[number]
type CodeByName = { readonly [R in Row as R[1]]: R[0] }

/** The code of each name: `ErrorCode.UNKNOWN_TOPIC_OR_PARTITION` is 3. */
export const ErrorCode = Object.fromEntries(ERROR_CODES.map(([code, name]) => [name, code])) as CodeByName

const byCode = new Map<number, Row>(ERROR_CODES.map((row) => [row[0], row]))

/** The name of a code; UNKNOWN_SERVER_ERROR where there is none. */
export function errorName(code: number): Row[1] {
  return byCode.get(code)?.[1] ?? "UNKNOWN_SERVER_ERROR"
}

/** What a code means, for the error message fields of responses. */
export function errorMessage(code: number): Row[3] {
  return byCode.get(code)?.[3] ?? ERROR_CODES[0][3]
}

/** Whether the same request may succeed later. */
export function isRetriable(code: number): boolean {
  return byCode.get(code)?.[2] ?? false
}
