import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java producer with its defaults. For each codec: sends 0 to count - 1 to partition 0 of "topic-codec", with a pause now and then, and
 * says how many were acknowledged.
 */
public class IdempotentProducer {
  public static void main(String[] args) throws Exception {
    for (String codec : args[3].split(",")) run(args[0], args[1] + "-" + codec, Integer.parseInt(args[2]), codec, Integer.parseInt(args[4]));
  }

  static void run(String bootstrap, String topic, int count, String codec, int pauseEvery) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("compression.type", codec);
    settings.put("delivery.timeout.ms", "120000");
    settings.put("retry.backoff.ms", "20");
    settings.put("reconnect.backoff.ms", "20");
    settings.put("batch.size", "2000");
    AtomicInteger failed = new AtomicInteger();
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
      for (int number = 0; number < count; number++) {
        producer.send(new ProducerRecord<>(topic, 0, null, Integer.toString(number)), (metadata, error) -> {
          if (error != null && failed.incrementAndGet() < 5) System.err.println(error);
        });
        if (pauseEvery > 0 && number % pauseEvery == 0) Thread.sleep(1);
      }
    }
    System.out.println("acknowledged " + (count - failed.get()));
  }
}
