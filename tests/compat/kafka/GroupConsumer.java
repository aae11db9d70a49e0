import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a group, as the Java client is: BOOTSTRAP GROUP TOPIC [NAME=VALUE...]. Says what it is assigned, what is taken from it and
 * what it reads, a line each, and commits what it has read. Ends, and leaves, when its input does.
 */
public class GroupConsumer {
  private static void say(String what, Collection<TopicPartition> partitions) {
    TreeSet<Integer> numbers = new TreeSet<>();
    for (TopicPartition each : partitions) numbers.add(each.partition());
    System.out.println(what + " " + numbers);
  }

  public static void main(String[] arguments) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", arguments[0]);
    properties.put("group.id", arguments[1]);
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    properties.put("session.timeout.ms", "6000");
    properties.put("heartbeat.interval.ms", "500");
    for (int index = 3; index < arguments.length; index++) {
      String[] pair = arguments[index].split("=", 2);
      properties.put(pair[0], pair[1]);
    }
    AtomicBoolean isOver = new AtomicBoolean();
    Thread input = new Thread(() -> {
      try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in))) {
        while (lines.readLine() != null) {}
      } catch (Exception error) {
        System.err.println(error);
      }
      isOver.set(true);
    });
    input.setDaemon(true);
    input.start();
    StringDeserializer text = new StringDeserializer();
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties, text, text)) {
      consumer.subscribe(List.of(arguments[2]), new ConsumerRebalanceListener() {
        @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) { say("assigned", partitions); }
        @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) { say("revoked", partitions); }
        @Override public void onPartitionsLost(Collection<TopicPartition> partitions) { say("lost", partitions); }
      });
      while (!isOver.get()) {
        boolean hasRead = false;
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
          System.out.println("read " + record.value());
          hasRead = true;
        }
        if (hasRead) consumer.commitSync();
      }
    }
    System.out.println("closed");
  }
}
