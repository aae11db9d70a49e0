package compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Apache Kafka clients for Java as the cases use them: with their defaults, but for what a case says. */
final class KafkaClients {
    private static final String BOOTSTRAP = System.getenv("MANIFOLD_KAFKA");
    static final Admin ADMIN = admin();

    private KafkaClients() {}

    interface Failing {
        void run() throws Exception;
    }

    static Properties settings(Object... pairs) {
        var settings = new Properties();
        settings.put("bootstrap.servers", BOOTSTRAP);
        for (int at = 0; at < pairs.length; at += 2) settings.put(pairs[at], pairs[at + 1]);
        return settings;
    }

    static Admin admin(Object... pairs) {
        return Admin.create(settings(pairs));
    }

    static KafkaProducer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Object... pairs) {
        var settings = settings(pairs);
        settings.putIfAbsent("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    /** A new topic with so many partitions. */
    static String topic(int partitions, Object... configs) throws Exception {
        var name = Cases.unique("j");
        var topic = new NewTopic(name, partitions, (short) 1);
        if (configs.length > 0) {
            var given = new java.util.HashMap<String, String>();
            for (int at = 0; at < configs.length; at += 2) given.put((String) configs[at], (String) configs[at + 1]);
            topic.configs(given);
        }
        ADMIN.createTopics(List.of(topic)).all().get();
        return name;
    }

    /** Sends the texts 0, 1, ... below count to one partition; waits for all of them. */
    static void send(String topic, int partition, int count) throws Exception {
        try (var producer = producer()) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(topic, partition, "k" + number, String.valueOf(number)));
            }
            producer.flush();
        }
    }

    static List<ConsumerRecord<String, String>> read(Consumer<String, String> consumer, int count) {
        var found = new ArrayList<ConsumerRecord<String, String>>();
        long end = System.currentTimeMillis() + 10_000;
        while (found.size() < count && System.currentTimeMillis() < end) {
            consumer.poll(Duration.ofMillis(200)).forEach(found::add);
        }
        if (found.size() < count) throw new AssertionError("waited in vain for " + count + " records, have " + found.size());
        return found;
    }

    /** What lies in one partition, from its beginning. */
    static List<ConsumerRecord<String, String>> stored(String topic, int partition, int count) {
        try (var consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, partition)));
            consumer.seekToBeginning(consumer.assignment());
            return read(consumer, count);
        }
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    /** That the call fails with an error of this name, itself or what is behind it. */
    static void fails(String error, Failing call) throws Exception {
        try {
            call.run();
        } catch (Exception failure) {
            var cause = failure instanceof ExecutionException ? failure.getCause() : failure;
            for (Throwable each = cause; each != null; each = each.getCause()) {
                if (each.getClass().getSimpleName().equals(error)) return;
            }
            throw new AssertionError("failed with " + cause + ", wanted " + error);
        }
        throw new AssertionError("did not fail, wanted " + error);
    }

    static void until(String what, java.util.concurrent.Callable<Boolean> isSo) throws Exception {
        long end = System.currentTimeMillis() + 10_000;
        while (!isSo.call()) {
            if (System.currentTimeMillis() > end) throw new AssertionError("it never was so: " + what);
            Thread.sleep(50);
        }
    }
}
