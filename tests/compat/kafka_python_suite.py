"""kafka-python: producer without idempotence, consumer with partitions assigned by hand, offsets by time; the rest has a script of its own."""
import os
import threading
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from cases import case, done, equal, unique

BOOTSTRAP = os.environ["MANIFOLD_KAFKA"]
NOW = int(time.time() * 1000) - 60_000  # recent, or time retention would take the records away


def producer(**options):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=False, **options)


def consume(topic, count, start=None, timeout=6, **options):
    """The first `count` records of partition 0, from the beginning or from `start`."""
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, **options)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning() if start is None else consumer.seek(partition, start)
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for records in consumer.poll(timeout_ms=200).values():
            found += records
    consumer.close()
    equal(len(found), count, "records")
    return found


for acks in (1, "all"):

    @case(f"produce and consume, acks = {acks}: key, value, headers, timestamp, null, empty")
    def _():
        topic, send = unique("t"), producer(acks=acks)
        first = send.send(topic, key=b"k", value=b"v", headers=[("h", b"1"), ("bin", b"\xff\x00")], timestamp_ms=NOW).get(6)
        equal((first.topic, first.partition, first.offset), (topic, 0, 0))
        equal(send.send(topic, key=b"k", value=None).get(6).offset, 1)
        equal(send.send(topic, value=b"").get(6).offset, 2)
        records = consume(topic, 3)
        equal([(r.offset, r.key, r.value) for r in records], [(0, b"k", b"v"), (1, b"k", None), (2, None, b"")])
        equal(list(records[0].headers), [("h", b"1"), ("bin", b"\xff\x00")])
        equal(records[0].timestamp, NOW)
        send.close()


@case("acks = 0")
def _():
    topic, send = unique("t"), producer(acks=0)
    for index in range(10):
        send.send(topic, value=str(index).encode())
    send.flush(6)
    equal([r.value for r in consume(topic, 10)], [str(index).encode() for index in range(10)])
    send.close()


for codec in (None, "gzip"):

    @case(f"10,000 records in batches, {codec}")
    def _():
        topic, send = unique("t"), producer(linger_ms=5, compression_type=codec)
        for index in range(10_000):
            send.send(topic, key=str(index % 10).encode(), value=str(index).encode())
        send.flush(10)
        equal([int(r.value) for r in consume(topic, 10_000)], list(range(10_000)))
        equal([int(r.value) for r in consume(topic, 10, start=9_990)], list(range(9_990, 10_000)))
        send.close()


@case("offsets: beginning, end, by time; position and seek")
def _():
    topic, send = unique("t"), producer()
    for index in range(5):
        send.send(topic, value=b"x", timestamp_ms=NOW + index * 1000).get(6)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    equal(consumer.partitions_for_topic(topic), {0})
    equal(consumer.beginning_offsets([partition]), {partition: 0})
    equal(consumer.end_offsets([partition]), {partition: 5})
    found = consumer.offsets_for_times({partition: NOW + 1500})[partition]
    equal((found.offset, found.timestamp), (2, NOW + 2000))
    equal(consumer.offsets_for_times({partition: NOW + 1_000_000_000}), {partition: None})
    consumer.seek_to_end(partition)
    equal(consumer.position(partition), 5)
    consumer.close()
    send.close()


@case("a waiting consumer is woken by a produced record")
def _():
    topic, send = unique("t"), producer()
    send.send(topic, value=b"first").get(6)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, fetch_max_wait_ms=5000)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 1)
    threading.Timer(0.5, lambda: send.send(topic, value=b"second")).start()
    start, found = time.monotonic(), {}
    while not found and time.monotonic() < start + 6:
        found = consumer.poll(timeout_ms=5000)
    equal([r.value for records in found.values() for r in records], [b"second"])
    elapsed = time.monotonic() - start
    equal(elapsed < 2, True, f"woken in time ({elapsed:.2f} s)")
    consumer.close()
    send.close()


@case("auto_offset_reset of an offset that is out of range")
def _():
    topic, send = unique("t"), producer()
    for index in range(3):
        send.send(topic, value=str(index).encode()).get(6)
    equal([r.value for r in consume(topic, 3, start=999, auto_offset_reset="earliest")], [b"0", b"1", b"2"])
    send.close()


@case("topics")
def _():
    topic, send = unique("t"), producer()
    send.send(topic, value=b"x").get(6)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP)
    equal(topic in consumer.topics(), True)
    consumer.close()
    send.close()


done()
