"""confluent-kafka, which is librdkafka: administration."""
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBindingFilter, AclOperation, AclPermissionType, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource,
    NewPartitions, NewTopic, OffsetSpec, ResourcePatternType, ResourceType,
)

from cases import case, done, equal, unique
from confluent_clients import ADMIN, BOOTSTRAP, code_of, create, send


def one(futures, *, count=1):
    """The result of the only future."""
    equal(len(futures), count)
    (future,) = futures.values()
    return future.result(6)


def partitions_of(topic):
    return len(ADMIN.list_topics(topic, timeout=6).topics[topic].partitions)


@case("topics: create, list, describe, add partitions, delete")
def _():
    topic = unique("t")
    one(ADMIN.create_topics([NewTopic(topic, 2, 1)], validate_only=True))
    equal(topic in ADMIN.list_topics(timeout=6).topics, False, "only validated")
    one(ADMIN.create_topics([NewTopic(topic, 2, 1, config={"retention.ms": "3600000"})]))
    equal(code_of(lambda: one(ADMIN.create_topics([NewTopic(topic, 2, 1)]))), KafkaError.TOPIC_ALREADY_EXISTS)
    equal(code_of(lambda: one(ADMIN.create_topics([NewTopic(unique("t"), 1, 3)]))), KafkaError.INVALID_REPLICATION_FACTOR)
    equal(code_of(lambda: one(ADMIN.create_topics([NewTopic("no/name", 1, 1)]))), KafkaError.TOPIC_EXCEPTION)
    one(ADMIN.create_partitions([NewPartitions(topic, 5)]))
    equal(code_of(lambda: one(ADMIN.create_partitions([NewPartitions(topic, 4)]))), KafkaError.INVALID_PARTITIONS)
    described = one(ADMIN.describe_topics(TopicCollection([topic])))
    equal([(p.id, p.leader.id, [r.id for r in p.replicas], [r.id for r in p.isr]) for p in described.partitions], [(index, 1, [1], [1]) for index in range(5)])
    equal((described.name, described.is_internal), (topic, False))
    one(ADMIN.delete_topics([topic]))
    equal(topic in ADMIN.list_topics(timeout=6).topics, False, "deleted")
    equal(code_of(lambda: one(ADMIN.delete_topics([topic]))), KafkaError.UNKNOWN_TOPIC_OR_PART)
    equal(code_of(lambda: one(ADMIN.describe_topics(TopicCollection([topic])))), KafkaError.UNKNOWN_TOPIC_OR_PART)


@case("the cluster")
def _():
    found = ADMIN.describe_cluster().result(6)
    host = f"{found.controller.host}:{found.controller.port}"
    equal((host, [node.id for node in found.nodes]), (BOOTSTRAP["bootstrap.servers"], [found.controller.id]))
    equal(found.cluster_id, ADMIN.list_topics(timeout=6).cluster_id)


@case("configurations: describe with sources and synonyms, alter one by one and as a whole, refuse; of the broker")
def _():
    topic = create(**{"retention.ms": "3600000"})
    resource = lambda **options: ConfigResource(ConfigResource.Type.TOPIC, topic, **options)

    def config(name):
        entry = one(ADMIN.describe_configs([resource()]))[name]
        return entry.value, ConfigSource(entry.source).name, len(entry.synonyms)

    equal(config("retention.ms"), ("3600000", "DYNAMIC_TOPIC_CONFIG", 2))
    equal(config("segment.jitter.ms"), ("0", "DEFAULT_CONFIG", 1))

    def alter(**operations):
        entries = [ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType[how]) for name, (how, value) in operations.items()]
        return one(ADMIN.incremental_alter_configs([resource(incremental_configs=entries)]))

    alter(retention_ms=("SET", "7200000"), cleanup_policy=("APPEND", "compact"))
    equal((config("retention.ms")[0], config("cleanup.policy")[0]), ("7200000", "delete,compact"))
    alter(retention_ms=("DELETE", None), cleanup_policy=("SUBTRACT", "delete"))
    equal((config("retention.ms"), config("cleanup.policy")[0]), (("604800000", "DEFAULT_CONFIG", 1), "compact"))
    equal(code_of(lambda: alter(retention_ms=("SET", "soon"))), KafkaError.INVALID_CONFIG)
    equal(code_of(lambda: alter(no_such=("SET", "1"))), KafkaError.INVALID_CONFIG)
    one(ADMIN.alter_configs([resource(set_config={"segment.bytes": "2097152"})]))
    equal((config("segment.bytes")[0], config("cleanup.policy")[0]), ("2097152", "delete"), "all are replaced")
    node = str(ADMIN.describe_cluster().result(6).controller.id)
    broker = one(ADMIN.describe_configs([ConfigResource(ConfigResource.Type.BROKER, node)]))
    equal((broker["node.id"].value, broker["node.id"].is_read_only), (node, True))


@case("offsets and records: earliest, latest, by time, largest time; delete up to an offset")
def _():
    topic = create()
    for index in range(10):
        send(topic, [str(index)])
    here = TopicPartition(topic, 0)
    offset = lambda spec: one(ADMIN.list_offsets({here: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)).offset
    equal([offset(OffsetSpec.earliest()), offset(OffsetSpec.latest()), offset(OffsetSpec.max_timestamp())], [0, 10, 9])
    equal([offset(OffsetSpec.for_timestamp(0)), offset(OffsetSpec.for_timestamp(2**53))], [0, -1])
    equal(one(ADMIN.delete_records([TopicPartition(topic, 0, 6)])).low_watermark, 6)
    equal(offset(OffsetSpec.earliest()), 6)
    equal(code_of(lambda: one(ADMIN.delete_records([TopicPartition(topic, 0, 11)]))), KafkaError.OFFSET_OUT_OF_RANGE)
    equal(one(ADMIN.delete_records([TopicPartition(topic, 0, -1)])).low_watermark, 10)


@case("groups: alter and list offsets, list by state, describe, delete")
def _():
    topic, group = create(2), unique("g")
    send(topic, [str(index) for index in range(5)], partition=0)
    wanted = [TopicPartition(topic, 0, 3, "three"), TopicPartition(topic, 1, 0)]
    one(ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))

    def offsets():
        found = one(ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])).topic_partitions
        return sorted((p.partition, p.offset, p.metadata) for p in found)

    equal(offsets(), [(0, 3, "three"), (1, 0, None)])
    states = lambda: {each.group_id: each.state.name for each in ADMIN.list_consumer_groups().result(6).valid}
    equal(states().get(group), "EMPTY")
    described = one(ADMIN.describe_consumer_groups([group]))
    equal((described.state.name, described.members, described.is_simple_consumer_group), ("EMPTY", [], True))
    consumer = Consumer({**BOOTSTRAP, "group.id": group})
    consumer.subscribe([topic])
    equal([message.value() for message in consumer.consume(2, 6)], [b"3", b"4"])
    equal(states().get(group), "STABLE")
    altered = one(ADMIN.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])).topic_partitions
    codes = [partition.error.code() for partition in altered]
    equal(codes, [KafkaError.UNKNOWN_MEMBER_ID] * 2, "offsets of a group that has members")
    consumer.close()
    one(ADMIN.delete_consumer_groups([group]))
    equal(states().get(group), None)
    equal(code_of(lambda: one(ADMIN.delete_consumer_groups([group]))), KafkaError.GROUP_ID_NOT_FOUND)


@case("access control lists are not offered: told at once")
def _():
    every = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
    equal(code_of(lambda: ADMIN.describe_acls(every).result(6)), KafkaError._UNSUPPORTED_FEATURE)


done()
