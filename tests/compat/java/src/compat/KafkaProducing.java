package compat;

import static compat.Cases.equal;
import static compat.Cases.run;
import static compat.KafkaClients.ADMIN;
import static compat.KafkaClients.fails;
import static compat.KafkaClients.producer;
import static compat.KafkaClients.stored;
import static compat.KafkaClients.topic;
import static compat.KafkaClients.values;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The producer for Java. */
final class KafkaProducing {
    private KafkaProducing() {}

    static void all() {
        run("producer: defaults (idempotent, acks=all), record by record", () -> {
            var topic = topic(1);
            try (var producer = producer()) {
                for (int number = 0; number < 50; number++) {
                    var sent = producer.send(new ProducerRecord<>(topic, "k", String.valueOf(number))).get();
                    equal(sent.offset(), (long) number, "offset");
                }
            }
            equal(values(stored(topic, 0, 50)), Cases.numbers(50), "values");
        });
        run("producer: five batches in flight keep their order", () -> {
            var topic = topic(1);
            try (var producer = producer("linger.ms", "0", "batch.size", "200", "max.in.flight.requests.per.connection", "5")) {
                for (int number = 0; number < 3_000; number++) {
                    producer.send(new ProducerRecord<>(topic, "k", String.valueOf(number)));
                }
            }
            equal(values(stored(topic, 0, 3_000)), Cases.numbers(3_000), "values");
        });
        for (var acks : List.of("1", "0")) {
            run("producer: acks=" + acks, () -> {
                var topic = topic(1);
                try (var producer = producer("acks", acks, "enable.idempotence", "false")) {
                    for (int number = 0; number < 20; number++) {
                        producer.send(new ProducerRecord<>(topic, "k", String.valueOf(number)));
                    }
                }
                equal(values(stored(topic, 0, 20)), Cases.numbers(20), "values");
            });
        }
        for (var codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            run("producer: " + codec, () -> {
                var topic = topic(1);
                try (var producer = producer("compression.type", codec, "linger.ms", "20")) {
                    for (int number = 0; number < 500; number++) {
                        producer.send(new ProducerRecord<>(topic, "key", String.valueOf(number)));
                    }
                }
                equal(values(stored(topic, 0, 500)), Cases.numbers(500), "values");
            });
        }
        run("producer: null keys, null and empty values, headers, timestamps", () -> {
            var topic = topic(1);
            try (var producer = producer()) {
                var headers = new ArrayList<org.apache.kafka.common.header.Header>();
                headers.add(new RecordHeader("a", "1".getBytes(StandardCharsets.UTF_8)));
                headers.add(new RecordHeader("a", null));
                headers.add(new RecordHeader("b", new byte[] {(byte) 0xff, 0}));
                producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L, null, "value", headers)).get();
                producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_001L, "", (String) null)).get();
                producer.send(new ProducerRecord<>(topic, 0, 0L, "key", "")).get();
            }
            var records = stored(topic, 0, 3);
            equal(records.get(0).key(), null, "key");
            equal(records.get(0).timestamp(), 1_700_000_000_000L, "timestamp");
            var headers = records.get(0).headers().toArray();
            equal(headers.length, 3, "headers");
            equal(headers[1].value(), null, "second header");
            equal(headers[2].value(), new byte[] {(byte) 0xff, 0}, "third header");
            equal(records.get(1).value(), null, "null value");
            equal(records.get(1).key(), "", "empty key");
            equal(records.get(2).value(), "", "empty value");
            equal(records.get(2).timestamp(), 0L, "timestamp 0");
        });
        run("producer: several partitions and topics in one request", () -> {
            var topics = List.of(topic(3), topic(2));
            var sent = new ArrayList<Future<RecordMetadata>>();
            try (var producer = producer("linger.ms", "50")) {
                for (int number = 0; number < 200; number++) {
                    sent.add(producer.send(new ProducerRecord<>(topics.get(number % 2), "key" + number, String.valueOf(number))));
                }
            }
            var places = new HashSet<String>();
            for (var each : sent) places.add(each.get().topic() + each.get().partition() + "/" + each.get().offset());
            equal(places.size(), 200, "places");
        });
        run("producer: LogAppendTime is the broker's, and told", () -> {
            var topic = topic(1, "message.timestamp.type", "LogAppendTime");
            long before = System.currentTimeMillis();
            long told;
            try (var producer = producer()) {
                told = producer.send(new ProducerRecord<>(topic, 0, 5L, "k", "v")).get().timestamp();
            }
            equal(told >= before - 1_000, true, "time told");
            var record = stored(topic, 0, 1).get(0);
            equal(record.timestamp(), told, "time stored");
            equal(record.timestampType().toString(), "LogAppendTime", "kind of time");
        });
        run("producer: a record above max.message.bytes is refused, the next one is not", () -> {
            var topic = topic(1, "max.message.bytes", "1000");
            try (var producer = producer()) {
                fails("RecordTooLargeException", () -> producer.send(new ProducerRecord<>(topic, "k", "x".repeat(2_000))).get());
                equal(producer.send(new ProducerRecord<>(topic, "k", "short")).get().offset(), 0L, "offset");
            }
        });
        run("producer: 5 MB where the topic takes it", () -> {
            var topic = topic(1, "max.message.bytes", "10000000");
            try (var producer = producer("max.request.size", "8000000", "buffer.memory", "64000000")) {
                producer.send(new ProducerRecord<>(topic, "k", "x".repeat(5_000_000))).get();
            }
            equal(stored(topic, 0, 1).get(0).value().length(), 5_000_000, "length");
        });
        run("producer: no key where keys are compacted", () -> {
            var topic = topic(1, "cleanup.policy", "compact");
            try (var producer = producer()) {
                fails("InvalidRecordException", () -> producer.send(new ProducerRecord<>(topic, "value")).get());
                producer.send(new ProducerRecord<>(topic, "k", "value")).get();
            }
        });
        run("producer: a name that cannot be one", () -> {
            try (var producer = producer("max.block.ms", "3000")) {
                fails("InvalidTopicException", () -> producer.send(new ProducerRecord<>("a b", "k", "v")).get());
            }
        });
        run("producer: a topic that comes to be, and one that is made anew", () -> {
            var topic = Cases.unique("auto");
            try (var producer = producer()) {
                producer.send(new ProducerRecord<>(topic, "k", "first")).get();
                ADMIN.deleteTopics(List.of(topic)).all().get();
                KafkaClients.until("it is gone", () -> !ADMIN.listTopics().names().get().contains(topic));
                producer.send(new ProducerRecord<>(topic, "k", "second")).get();
            }
            equal(values(stored(topic, 0, 1)), List.of("second"), "values");
        });
        run("producer: who wrote is described", () -> {
            var topic = topic(1);
            try (var producer = producer()) {
                producer.send(new ProducerRecord<>(topic, "k", "v")).get();
                var partition = new TopicPartition(topic, 0);
                var active = ADMIN.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
                equal(active.size(), 1, "producers");
                equal(active.get(0).lastSequence(), 0, "last sequence");
            }
        });
    }
}
