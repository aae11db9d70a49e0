"""kafka-python: the idempotent producer, members of groups, administration."""
import os
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

from cases import case, done, equal, unique

BOOTSTRAP = {"bootstrap_servers": os.environ["MANIFOLD_KAFKA"]}
ADMIN = KafkaAdminClient(**BOOTSTRAP)
SEND = KafkaProducer(**BOOTSTRAP)  # idempotent, as this client is by itself


def create(partitions=1):
    topic = unique("t")
    ADMIN.create_topics([NewTopic(topic, partitions, 1)])
    return topic


def fill(topic, word, count=60, partitions=6):
    for index in range(count):
        SEND.send(topic, f"{word} {index}".encode(), partition=index % partitions)
    SEND.flush(6)


def until(what, probe, timeout=10):
    end = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


class Member:
    """A member in a thread of its own, which is closed by `close` or by the end of a `with`."""

    def __init__(self, group, topic, **options):
        self.values, self.has, self.error, self._stop = [], [], None, threading.Event()
        timings = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 200, "fetch_max_wait_ms": 100, "auto_commit_interval_ms": 100}
        self.consumer = KafkaConsumer(**BOOTSTRAP, group_id=group, auto_offset_reset="earliest", **{**timings, **options})
        # A leader that does not know the topic yet gives out nothing at first, and everybody joins once more.
        self.consumer.partitions_for_topic(topic)
        self.consumer.subscribe([topic])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                # Where the time is up while it joins, this client throws away the assignment that it gets then.
                for records in self.consumer.poll(timeout_ms=1_500).values():
                    self.values += [record.value.decode() for record in records]
                self.has = sorted(p.partition for p in self.consumer.assignment())
            self.consumer.close()
        except Exception as error:
            self.error = error

    def close(self):
        self._stop.set()
        self._thread.join(8)
        if self.error is not None:
            raise self.error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def code_of(operation):
    """The number of the error that the operation ends with."""
    try:
        operation()
    except errors.KafkaError as error:
        return error.errno
    return None


@case("idempotent: two producers, 4 partitions, each in order and once; what the broker knows of them")
def _():
    topic, producers = create(4), [KafkaProducer(**BOOTSTRAP, enable_idempotence=True, linger_ms=1) for _ in range(2)]
    for index in range(400):
        for which, producer in enumerate(producers):
            producer.send(topic, f"{which} {index}".encode(), partition=index % 4)
    for producer in producers:
        producer.flush(8)
    known = ADMIN.describe_producers([TopicPartition(topic, 1)])[TopicPartition(topic, 1)].active_producers
    equal([each.last_sequence for each in known], [99, 99], "last sequences")
    equal(len({each.producer_id for each in known}), 2, "ids")
    for producer in producers:
        producer.close()
    with Member(unique("g"), topic) as member:
        until("all", lambda: len(member.values) >= 800)
        equal(sorted(member.values), sorted(f"{which} {index}" for which in range(2) for index in range(400)))


for name, assignor in (("range", RangePartitionAssignor), ("cooperative sticky", CooperativeStickyAssignor)):

    @case(f"{name}: two members share 6 partitions, one leaves and the other goes on, every record is read")
    def _():
        topic, group, strategy = create(6), unique("g"), {"partition_assignment_strategy": [assignor]}
        fill(topic, "first")
        with Member(group, topic, **strategy) as other:
            with Member(group, topic, **strategy) as one:
                until("three each", lambda: len(one.has) == len(other.has) == 3)
                equal(sorted(one.has + other.has), list(range(6)), "each partition once")
                seen = lambda word: {f"{word} {index}" for index in range(60)} <= set(one.values + other.values)
                until("what was there", lambda: seen("first"))
                before = len(one.values), len(other.values)
                fill(topic, "both")
                until("both read", lambda: seen("both"))
                equal([len(one.values) - before[0] >= 30, len(other.values) - before[1] >= 30], [True, True], "each has its half")
            until("all to the other", lambda: len(other.has) == 6)
            fill(topic, "last")
            until("the other reads alone", lambda: {f"last {index}" for index in range(60)} <= set(other.values))
        offsets = ADMIN.list_group_offsets(group)[group]
        equal({place.partition: each.offset for place, each in offsets.items()}, {partition: 30 for partition in range(6)})


@case("commits by hand, with metadata; the next member goes on behind them")
def _():
    topic, group = create(), unique("g")
    fill(topic, "x", 10, 1)
    here = TopicPartition(topic, 0)
    options = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = KafkaConsumer(**BOOTSTRAP, **options)
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    until("10", lambda: consumer.poll(timeout_ms=1_500) and consumer.position(here) == 10)
    equal(consumer.committed(here), None, "nothing by itself")
    consumer.commit({here: OffsetAndMetadata(6, "six", -1)})
    found = consumer.committed(here, metadata=True)
    equal((found.offset, found.metadata), (6, "six"))
    consumer.close()
    with Member(group, topic) as member:
        until("the rest", lambda: len(member.values) >= 4)
        equal(member.values, [f"x {index}" for index in range(6, 10)])


@case("static member: it comes back to its partitions, without a rebalance")
def _():
    topic, group = create(4), unique("g")
    generation = lambda: {member["client_id"]: member["member_assignment"] for member in ADMIN.describe_groups([group])[group]["members"]}
    with Member(group, topic, group_instance_id="i2", client_id="c2") as other:
        one = Member(group, topic, group_instance_id="i1", client_id="c1")
        until("two each", lambda: len(one.has) == len(other.has) == 2)
        had, before = one.has, generation()
        one.close()
        equal(sorted(generation()), ["c1", "c2"], "members while it is away")
        with Member(group, topic, group_instance_id="i1", client_id="c1") as back:
            until("its partitions", lambda: back.has == had)
            equal(generation(), before)


@case("administration: topics, partitions with a cursor, configurations, records, log directories")
def _():
    topic = create(2)
    equal(topic in ADMIN.list_topics(), True)
    equal(code_of(lambda: ADMIN.create_topics([NewTopic(topic, 1, 1)])), 36)
    ADMIN.create_partitions({topic: NewPartitions(5)})
    page = ADMIN.describe_topic_partitions([topic], response_partition_limit=3)
    equal([p["partition_index"] for p in page["topics"][0]["partitions"]], [0, 1, 2])
    equal(page["next_cursor"], {"topic_name": topic, "partition_index": 3})
    rest = ADMIN.describe_topic_partitions([topic], cursor=page["next_cursor"])
    equal([p["partition_index"] for p in rest["topics"][0]["partitions"]], [3, 4])
    resource = lambda configs=None: [ConfigResource(ConfigResourceType.TOPIC, topic, configs)]
    modified = lambda: {name: each["value"] for name, each in ADMIN.describe_configs(resource())["topic"][topic].items()}
    equal(modified(), {})
    ADMIN.alter_configs(resource({"cleanup.policy": "compact"}))
    equal(modified(), {"cleanup.policy": "compact"})
    ADMIN.reset_configs(resource(["cleanup.policy"]))
    equal(modified(), {})
    for index in range(10):
        SEND.send(topic, b"x", partition=0).get(6)
    here = TopicPartition(topic, 0)
    equal(ADMIN.list_partition_offsets({here: OffsetSpec.LATEST})[here].offset, 10)
    equal(ADMIN.delete_records({here: 6})[here]["low_watermark"], 6)
    equal(ADMIN.list_partition_offsets({here: OffsetSpec.EARLIEST})[here].offset, 6)
    (broker,) = ADMIN.describe_log_dirs([topic])
    sizes = {p["partition_index"]: p["partition_size"] > 0 for p in broker["log_dirs"][0]["topics"][0]["partitions"]}
    equal(sizes, {0: True, 1: False, 2: False, 3: False, 4: False})
    ADMIN.delete_topics([topic])
    equal(topic in ADMIN.list_topics(), False)


@case("administration: offsets of a group, by value and by reset; its state; delete")
def _():
    topic, group = create(), unique("g")
    here = TopicPartition(topic, 0)
    fill(topic, "x", 10, 1)
    ADMIN.alter_group_offsets(group, {here: OffsetAndMetadata(8, "eight", -1)})
    equal(ADMIN.list_group_offsets(group)[group][here].offset, 8)
    equal(ADMIN.reset_group_offsets(group, {here: OffsetSpec.EARLIEST})[here]["offset"], 0)
    state = lambda: {each["group_id"]: each["group_state"] for each in ADMIN.list_groups()}.get(group)
    equal(state(), "Empty")
    with Member(group, topic) as member:
        until("10", lambda: len(member.values) >= 10)
        equal(state(), "Stable")
        equal(ADMIN.delete_groups([group])[group], "NonEmptyGroupError")
    equal(ADMIN.delete_groups([group])[group], "OK")
    equal(state(), None)


@case("transactions are refused, at once")
def _():
    start = time.monotonic()
    equal(code_of(KafkaProducer(**BOOTSTRAP, transactional_id=unique("tx")).init_transactions), 53)
    equal(time.monotonic() - start < 3, True, "at once")


done()
