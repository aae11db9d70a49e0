"""Reads whole topics with kafka-python, partitions assigned by hand; prints one JSON line a record.

Usage: kafka_reader.py BOOTSTRAP TOPIC EXPECTED TIMEOUT_S
The client checks every CRC itself (check_crcs is its default) and raises on a wrong one.
"""
import base64
import json
import sys
import time

from kafka import KafkaConsumer, TopicPartition


def main() -> None:
    bootstrap, topic, expected, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, check_crcs=True)
    partitions = [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    seen = 0
    end = time.monotonic() + timeout
    text = lambda value: None if value is None else base64.b64encode(value).decode()
    while seen < expected and time.monotonic() < end:
        for partition, records in consumer.poll(timeout_ms=500).items():
            for record in records:
                seen += 1
                print(json.dumps([
                    partition.partition, record.offset, text(record.key), text(record.value),
                    [[name, text(value)] for name, value in record.headers], record.timestamp,
                ]))
    ends = consumer.end_offsets(partitions)
    print(json.dumps({"end": {str(p.partition): offset for p, offset in ends.items()}}))
    consumer.close()


main()
