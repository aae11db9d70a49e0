package compat;

/** The Apache Kafka clients for Java, of the newest release: producer, consumer, groups, administration. */
public final class KafkaSuite {
    private KafkaSuite() {}

    public static void main(String[] arguments) {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "off");
        switch (arguments[0]) {
            case "producer" -> KafkaProducing.all();
            case "consumer" -> KafkaConsuming.all();
            case "groups" -> KafkaGroups.all();
            case "admin" -> KafkaAdmin.all();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        Cases.done();
    }
}
