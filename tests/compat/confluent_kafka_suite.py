"""confluent-kafka, which is librdkafka: its producer, readers with partitions assigned by hand, what it counts."""
import json
import time

from confluent_kafka import Consumer, KafkaError, OFFSET_BEGINNING, OFFSET_END, Producer, TopicPartition

from cases import case, done, equal, unique
from confluent_clients import BOOTSTRAP, code_of, create, read, send

NOW = int(time.time() * 1000) - 60_000  # recent, or time retention would take the records away


for acks in ("1", "all"):

    @case(f"acks = {acks}: key, value, headers, timestamp, null and empty")
    def _():
        topic, told = create(), []
        producer = Producer({**BOOTSTRAP, "acks": acks})
        tell = lambda error, message: told.append(error or message)
        producer.produce(topic, b"\x00\xff", b"\xff\x00", headers=[("h", b"1"), ("h", b"\xff"), ("none", None)], timestamp=NOW, on_delivery=tell)
        producer.produce(topic, None, b"k", on_delivery=tell)
        producer.produce(topic, b"", b"", on_delivery=tell)
        equal(producer.flush(6), 0)
        equal([(m.topic(), m.partition(), m.offset()) for m in told], [(topic, 0, offset) for offset in range(3)])
        records = read(topic, 3)
        equal([(r.offset(), r.key(), r.value()) for r in records], [(0, b"\xff\x00", b"\x00\xff"), (1, b"k", None), (2, b"", b"")])
        equal(records[0].headers(), [("h", b"1"), ("h", b"\xff"), ("none", None)])
        equal(records[0].timestamp(), (1, NOW))


@case("acks = 0")
def _():
    topic = create()
    send(topic, [str(index) for index in range(100)], acks="0")
    equal([int(r.value()) for r in read(topic, 100)], list(range(100)))


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):

    @case(f"10,000 records, {codec}: read as they were written, and sent compressed")
    def _():
        topic, values, stats = create(), [f"{index:08} {'abcdefgh' * 20}" for index in range(10_000)], []
        producer = Producer({**BOOTSTRAP, "compression.type": codec, "linger.ms": 20, "statistics.interval.ms": 50, "stats_cb": stats.append})
        for value in values:
            producer.produce(topic, value)
        equal(producer.flush(8), 0)
        end = time.monotonic() + 3
        while time.monotonic() < end and not (stats and json.loads(stats[-1])["txmsgs"] == len(values)):
            producer.poll(0.05)
        last = json.loads(stats[-1])
        equal(last["txmsgs"], len(values), "messages that it counts")
        # librdkafka turns compression off, without a word, where it thinks that the broker cannot.
        equal(last["tx_bytes"] < len("".join(values)) / 2, codec != "none", f"{last['tx_bytes']} bytes sent")
        equal([r.value().decode() for r in read(topic, len(values))], values)


@case("idempotent: two producers, 4 partitions, each in order and once")
def _():
    topic = create(4)
    producers = [Producer({**BOOTSTRAP, "enable.idempotence": True, "linger.ms": 1}) for _ in range(2)]
    for index in range(1_000):
        for which, producer in enumerate(producers):
            producer.produce(topic, f"{which} {index}", partition=index % 4)
            producer.poll(0)
    equal([producer.flush(8) for producer in producers], [0, 0])
    records = read(topic, 2_000, range(4))
    for partition in range(4):
        for which in ("0", "1"):
            mine = [r.value().decode().split() for r in records if r.partition() == partition]
            equal([int(index) for producer, index in mine if producer == which], list(range(partition, 1_000, 4)))


@case("a value of 1 MB; one above max.message.bytes is refused, and the next is stored")
def _():
    topic, large = create(), b"x" * 1_000_000
    equal([message.offset() for message in send(topic, [large], **{"message.max.bytes": 2_000_000})], [0])
    (error,) = send(topic, [large + large[:500_000]], **{"message.max.bytes": 2_000_000})
    equal(error.code() if isinstance(error, KafkaError) else None, KafkaError.MSG_SIZE_TOO_LARGE)
    send(topic, ["after"])
    equal([len(r.value()) for r in read(topic, 2)], [1_000_000, 5])


@case("keys go where Kafka's murmur2 says, in order of each key")
def _():
    topic, producer = create(6), Producer({**BOOTSTRAP, "partitioner": "murmur2_random"})
    for index in range(600):
        producer.produce(topic, str(index), f"k{index % 20}")
    equal(producer.flush(6), 0)
    homes = {}
    for record in read(topic, 600, range(6)):
        homes.setdefault(record.key(), []).append((record.partition(), int(record.value())))
    for key, found in homes.items():
        equal(len({partition for partition, _ in found}), 1, "partitions of a key")
        equal([value for _, value in found], sorted(value for _, value in found), "order of a key")
    equal(len({found[0][0] for found in homes.values()}) > 3, True, "partitions in use")


@case("offsets: watermarks, by time, position, seek, the end of a partition")
def _():
    topic, producer = create(), Producer(BOOTSTRAP)
    for index in range(5):
        producer.produce(topic, str(index), timestamp=NOW + index * 1000)
    equal(producer.flush(6), 0)
    consumer = Consumer({**BOOTSTRAP, "group.id": unique("g"), "enable.partition.eof": True, "fetch.wait.max.ms": 100})
    equal(consumer.get_watermark_offsets(TopicPartition(topic, 0), 6), (0, 5))
    for asked, wanted in ((NOW, 0), (NOW + 1500, 2), (NOW + 4000, 4), (NOW + 4001, -1)):
        equal(consumer.offsets_for_times([TopicPartition(topic, 0, asked)], 6)[0].offset, wanted, f"time {asked - NOW}")
    consumer.assign([TopicPartition(topic, 0, 2)])

    def values_to_the_end():
        found, end = [], time.monotonic() + 6
        while time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is not None and message.error():
                equal((message.error().code(), message.offset()), (KafkaError._PARTITION_EOF, 5))
                return found
            if message is not None:
                found.append(message.value())
        raise AssertionError("no end")

    equal(values_to_the_end(), [b"2", b"3", b"4"])
    equal(consumer.position([TopicPartition(topic, 0)])[0].offset, 5)
    consumer.seek(TopicPartition(topic, 0, 4))
    equal(values_to_the_end(), [b"4"])
    consumer.seek(TopicPartition(topic, 0, OFFSET_END))
    equal(values_to_the_end(), [])
    consumer.close()


@case("an offset out of range: reset to the earliest, or told where it may not be")
def _():
    topic = create()
    send(topic, ["0", "1", "2"])
    equal([r.value() for r in read(topic, 3, start=99, **{"auto.offset.reset": "earliest"})], [b"0", b"1", b"2"])
    equal(code_of(lambda: read(topic, 1, start=99, **{"auto.offset.reset": "error"})), KafkaError._AUTO_OFFSET_RESET)


@case("a reader's counts agree with what it read")
def _():
    topic, stats = create(2), []
    send(topic, [str(index) for index in range(500)], partition=1)
    consumer = Consumer({**BOOTSTRAP, "group.id": unique("g"), "statistics.interval.ms": 50, "stats_cb": stats.append, "fetch.wait.max.ms": 100})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in (0, 1)])
    count, end = 0, time.monotonic() + 6
    partitions = lambda: json.loads(stats[-1])["topics"][topic]["partitions"]
    while time.monotonic() < end and not (count == 500 and stats and partitions()["1"]["rxmsgs"] == 500 and partitions()["1"]["consumer_lag"] == 0):
        count += len(consumer.consume(500, 0.05))
    consumer.close()
    one = partitions()["1"]
    equal([one["rxmsgs"], one["hi_offset"], one["ls_offset"], one["lo_offset"], one["consumer_lag"]], [500, 500, 500, 0, 0])
    equal(partitions()["0"]["rxmsgs"], 0)


@case("a topic that is none: told to the producer and to the reader")
def _():
    # librdkafka waits for a topic that may yet come.
    (error,) = send(unique("no"), ["x"], **{"allow.auto.create.topics": False, "topic.metadata.propagation.max.ms": 500})
    equal(error.code() if isinstance(error, KafkaError) else None, KafkaError.UNKNOWN_TOPIC_OR_PART)
    (error,) = send("no/such name", ["x"], **{"message.timeout.ms": 4_000})
    equal(error.code() if isinstance(error, KafkaError) else None, KafkaError.TOPIC_EXCEPTION)
    consumer = Consumer({**BOOTSTRAP, "group.id": unique("g"), "topic.metadata.propagation.max.ms": 500})
    consumer.subscribe([unique("no")])
    found = consumer.poll(6)
    equal(found and found.error() and found.error().code(), KafkaError.UNKNOWN_TOPIC_OR_PART)
    consumer.close()


@case("transactions are refused, at once")
def _():
    producer, start = Producer({**BOOTSTRAP, "transactional.id": unique("tx")}), time.monotonic()
    equal(code_of(lambda: producer.init_transactions(6)), KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    equal(time.monotonic() - start < 3, True, "at once")


done()
