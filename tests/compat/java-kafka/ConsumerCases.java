import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's own consumer with manual assignment: reads, seeks, asks for offsets by time and at both ends, and sees what is committed. */
public final class ConsumerCases {
    private interface Case {
        void run() throws Exception;
    }

    private static final String SERVERS = System.getenv("MANIFOLD_KAFKA");
    private static final String TOPIC = "java-" + UUID.randomUUID();
    private static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);
    private static final long START_MS = System.currentTimeMillis() - 60_000;
    private static final int RECORDS = 300;
    private static int cases = 0;

    public static void main(String[] arguments) {
        test("produces, in batches of several codecs", ConsumerCases::produce);
        test("reads all from the beginning, once and in order", () -> readFrom(consumer("read_uncommitted"), 0));
        test("read_committed sees the same", () -> readFrom(consumer("read_committed"), 0));
        test("seeks into a batch", () -> readFrom(consumer("read_uncommitted"), 123));
        test("seeks to the end, and reads what comes", ConsumerCases::readNew);
        test("beginning and end offsets", ConsumerCases::ends);
        test("offsets for times", ConsumerCases::times);
        test("an offset that is none is out of range", ConsumerCases::outOfRange);
        test("little at a time", ConsumerCases::littleAtATime);
        System.out.println("done " + cases);
        System.exit(0);
    }

    private static void test(String name, Case body) {
        cases++;
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            System.out.println("not ok " + name + ": " + error.toString().replace('\n', ' '));
        }
    }

    private static void produce() throws Exception {
        int sent = 0;
        for (String codec : List.of("none", "gzip", "zstd")) {
            Properties settings = new Properties();
            settings.put("bootstrap.servers", SERVERS);
            settings.put("compression.type", codec);
            settings.put("enable.idempotence", "false");
            settings.put("batch.size", "1000");
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
                for (int record = 0; record < RECORDS / 3; record++, sent++) {
                    producer.send(new ProducerRecord<>(TOPIC, 0, START_MS + sent, "key", "value " + sent));
                }
                producer.flush();
            }
        }
    }

    private static KafkaConsumer<String, String> consumer(String isolation, String... more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", SERVERS);
        settings.put("isolation.level", isolation);
        settings.put("auto.offset.reset", "none");
        settings.put("enable.auto.commit", "false");
        for (int index = 0; index < more.length; index += 2) settings.put(more[index], more[index + 1]);
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        consumer.assign(Set.of(PARTITION));
        return consumer;
    }

    private static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long end = System.currentTimeMillis() + 10_000;
        while (records.size() < count && System.currentTimeMillis() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    private static void readFrom(KafkaConsumer<String, String> consumer, int offset) {
        try (consumer) {
            consumer.seek(PARTITION, offset);
            List<ConsumerRecord<String, String>> records = read(consumer, RECORDS - offset);
            equal(RECORDS - offset, records.size());
            for (int index = 0; index < records.size(); index++) {
                equal((long) offset + index, records.get(index).offset());
                equal("value " + (offset + index), records.get(index).value());
                equal(START_MS + offset + index, records.get(index).timestamp());
            }
        }
    }

    private static void readNew() throws Exception {
        try (KafkaConsumer<String, String> consumer = consumer("read_uncommitted")) {
            consumer.seekToEnd(Set.of(PARTITION));
            equal((long) RECORDS, consumer.position(PARTITION));
            equal(0, consumer.poll(Duration.ofMillis(300)).count());
        }
    }

    private static void ends() {
        try (KafkaConsumer<String, String> consumer = consumer("read_committed")) {
            equal(0L, consumer.beginningOffsets(Set.of(PARTITION)).get(PARTITION));
            equal((long) RECORDS, consumer.endOffsets(Set.of(PARTITION)).get(PARTITION));
            consumer.seekToBeginning(Set.of(PARTITION));
            equal(0L, consumer.position(PARTITION));
            equal((long) RECORDS, consumer.currentLag(PARTITION).orElse(RECORDS));
        }
    }

    private static void times() {
        try (KafkaConsumer<String, String> consumer = consumer("read_uncommitted")) {
            for (int offset : List.of(0, 1, 99, 150, 299)) {
                Map<TopicPartition, Long> asked = new HashMap<>(Map.of(PARTITION, START_MS + offset));
                OffsetAndTimestamp found = consumer.offsetsForTimes(asked).get(PARTITION);
                equal((long) offset, found.offset());
                equal(START_MS + offset, found.timestamp());
            }
            equal(null, consumer.offsetsForTimes(Map.of(PARTITION, START_MS + RECORDS)).get(PARTITION));
        }
    }

    private static void outOfRange() {
        try (KafkaConsumer<String, String> consumer = consumer("read_uncommitted")) {
            consumer.seek(PARTITION, RECORDS + 50);
            long end = System.currentTimeMillis() + 10_000;
            while (System.currentTimeMillis() < end) consumer.poll(Duration.ofMillis(200));
            throw new IllegalStateException("it is not refused");
        } catch (OffsetOutOfRangeException | NoOffsetForPartitionException expected) {
            equal(true, expected.getMessage().contains(TOPIC));
        }
    }

    private static void littleAtATime() {
        readFrom(consumer("read_uncommitted", "fetch.max.bytes", "1", "max.partition.fetch.bytes", "1", "max.poll.records", "7"), 0);
        readFrom(consumer("read_uncommitted", "fetch.min.bytes", "100000", "fetch.max.wait.ms", "50"), 0);
    }

    private static void equal(Object expected, Object found) {
        if (!java.util.Objects.equals(expected, found)) throw new IllegalStateException("expected " + expected + ", found " + found);
    }
}
