"""What the scripts of confluent-kafka share."""
import os
import time

from confluent_kafka import Consumer, KafkaException, OFFSET_BEGINNING, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cases import equal, unique

BOOTSTRAP = {"bootstrap.servers": os.environ["MANIFOLD_KAFKA"]}
ADMIN = AdminClient(BOOTSTRAP)


def create(partitions=1, **config):
    topic = unique("t")
    ADMIN.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(6)
    return topic


def send(topic, values, **options):
    """Produces the values, in their order, to the partitions in turn or to the one that is given; gives what was told of each."""
    partition = options.pop("partition", None)
    producer = Producer({**BOOTSTRAP, **options})
    told = []
    for value in values:
        producer.produce(
            topic, value, on_delivery=lambda error, message: told.append(error or message),
            **({} if partition is None else {"partition": partition}),
        )
        producer.poll(0)
    equal(producer.flush(8), 0, "left")
    return told


def read(topic, count, partitions=(0,), start=OFFSET_BEGINNING, timeout=8, **options):
    """The first `count` records of the partitions from `start` on, and no more than there are."""
    consumer = Consumer({**BOOTSTRAP, "group.id": unique("g"), "enable.auto.commit": False, "fetch.wait.max.ms": 100, **options})
    consumer.assign([TopicPartition(topic, partition, start) for partition in partitions])
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for message in consumer.consume(count, 0.1):
            if message.error():
                raise KafkaException(message.error())
            found.append(message)
    consumer.close()
    equal(len(found), count, "records")
    return found


def code_of(operation):
    """The code of the error that the operation ends with."""
    try:
        operation()
    except KafkaException as error:
        return error.args[0].code()
    return None
