package compat;

import static compat.Cases.equal;
import static compat.Cases.run;
import static compat.KafkaClients.ADMIN;
import static compat.KafkaClients.consumer;
import static compat.KafkaClients.fails;
import static compat.KafkaClients.producer;
import static compat.KafkaClients.read;
import static compat.KafkaClients.send;
import static compat.KafkaClients.topic;
import static compat.KafkaClients.values;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** The consumer for Java without a group. */
final class KafkaConsuming {
    private KafkaConsuming() {}

    static void all() {
        run("consumer: seek, position, beginning and end", () -> {
            var topic = topic(1);
            send(topic, 0, 100);
            var partition = new TopicPartition(topic, 0);
            try (var consumer = consumer("max.poll.records", "7")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 40);
                equal(values(read(consumer, 60)).get(0), "40", "first");
                equal(consumer.position(partition), 100L, "position");
                consumer.seekToBeginning(List.of(partition));
                equal(consumer.position(partition), 0L, "beginning");
                consumer.seekToEnd(List.of(partition));
                equal(consumer.position(partition), 100L, "end");
                equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning offset");
                equal(consumer.endOffsets(List.of(partition)).get(partition), 100L, "end offset");
            }
        });
        run("consumer: offsets for times, within a batch", () -> {
            var topic = topic(1);
            try (var producer = producer("linger.ms", "100")) {
                for (int number = 0; number < 10; number++) {
                    producer.send(new ProducerRecord<>(topic, 0, 1_000_000L + 1_000 * number, "k", String.valueOf(number)));
                }
            }
            var partition = new TopicPartition(topic, 0);
            try (var consumer = consumer()) {
                var found = consumer.offsetsForTimes(Map.of(partition, 1_004_500L)).get(partition);
                equal(List.of(found.offset(), found.timestamp()), List.of(5L, 1_005_000L), "found");
                equal(consumer.offsetsForTimes(Map.of(partition, 9_000_000L)).get(partition), null, "behind all");
            }
        });
        run("consumer: waits for what comes, and is woken", () -> {
            var topic = topic(1);
            try (var consumer = consumer("fetch.max.wait.ms", "5000")) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                consumer.poll(Duration.ofMillis(300));
                send(topic, 0, 1);
                long before = System.currentTimeMillis();
                equal(read(consumer, 1).size(), 1, "records");
                equal(System.currentTimeMillis() - before < 2_000, true, "woken in time");
            }
        });
        run("consumer: small fetches of many partitions get everything", () -> {
            var topic = topic(10);
            for (int partition = 0; partition < 10; partition++) send(topic, partition, 200);
            try (var consumer = consumer("max.partition.fetch.bytes", "500", "fetch.max.bytes", "2000")) {
                consumer.assign(java.util.stream.IntStream.range(0, 10).mapToObj(at -> new TopicPartition(topic, at)).toList());
                var places = new HashSet<String>();
                for (var record : read(consumer, 2_000)) places.add(record.partition() + "/" + record.offset());
                equal(places.size(), 2_000, "places");
            }
        });
        run("consumer: partitions come and go in one session", () -> {
            var topic = topic(4);
            for (int partition = 0; partition < 4; partition++) send(topic, partition, 20);
            try (var consumer = consumer()) {
                for (int round = 0; round < 4; round++) {
                    var one = new TopicPartition(topic, round);
                    consumer.assign(List.of(one, new TopicPartition(topic, (round + 1) % 4)));
                    consumer.seekToBeginning(consumer.assignment());
                    equal(read(consumer, 40).size() >= 40, true, "records");
                    consumer.pause(List.of(one));
                    consumer.poll(Duration.ofMillis(50));
                    consumer.resume(List.of(one));
                }
            }
        });
        run("consumer: an offset that is gone", () -> {
            var topic = topic(1);
            send(topic, 0, 20);
            var partition = new TopicPartition(topic, 0);
            equal(ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(5))).lowWatermarks().get(partition).get().lowWatermark(), 5L, "low watermark");
            try (var consumer = consumer("auto.offset.reset", "none")) {
                consumer.assign(List.of(partition));
                consumer.seek(partition, 2);
                fails("OffsetOutOfRangeException", () -> consumer.poll(Duration.ofSeconds(5)));
                consumer.seek(partition, 5);
                equal(values(read(consumer, 15)).get(0), "5", "first");
                consumer.seek(partition, 1_000);
                fails("OffsetOutOfRangeException", () -> consumer.poll(Duration.ofSeconds(5)));
            }
        });
        run("consumer: read_committed without transactions is everything", () -> {
            var topic = topic(1);
            send(topic, 0, 30);
            try (var consumer = consumer("isolation.level", "read_committed")) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                equal(values(read(consumer, 30)), Cases.numbers(30), "values");
                equal(consumer.endOffsets(consumer.assignment()).values().iterator().next(), 30L, "end");
            }
        });
        run("consumer: partitions, topics", () -> {
            var topic = topic(3);
            try (var consumer = consumer()) {
                equal(consumer.partitionsFor(topic).size(), 3, "partitions");
                equal(consumer.listTopics().containsKey(topic), true, "listed");
            }
        });
    }
}
