package compat;

import static compat.Cases.equal;
import static compat.Cases.run;
import static compat.KafkaClients.ADMIN;
import static compat.KafkaClients.consumer;
import static compat.KafkaClients.fails;
import static compat.KafkaClients.read;
import static compat.KafkaClients.send;
import static compat.KafkaClients.topic;
import static compat.KafkaClients.until;
import static compat.KafkaClients.values;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;

/** The consumer for Java in groups of the classic protocol, and what the administrator sees and does of them. */
final class KafkaGroups {
    private static final String PREFIX = "org.apache.kafka.clients.consumer.";

    private KafkaGroups() {}

    /** A member that polls in a thread of its own until it is closed. */
    private static final class Member implements AutoCloseable {
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        final List<String> seen = java.util.Collections.synchronizedList(new ArrayList<>());
        volatile Throwable failure;
        private final AtomicBoolean isOn = new AtomicBoolean(true);
        private final Thread thread;

        Member(String group, String topic, Object... pairs) {
            var settings = new ArrayList<Object>(List.of("group.id", group, "session.timeout.ms", "6000", "heartbeat.interval.ms", "300", "metadata.max.age.ms", "1000"));
            settings.addAll(List.of(pairs));
            var consumer = consumer(settings.toArray());
            thread = new Thread(() -> poll(consumer, topic));
            thread.start();
        }

        private void poll(KafkaConsumer<String, String> consumer, String topic) {
            try (consumer) {
                consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                    @Override
                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        owned.removeAll(partitions);
                    }

                    @Override
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                        owned.addAll(partitions);
                    }
                });
                while (isOn.get()) {
                    for (var record : consumer.poll(Duration.ofMillis(100))) seen.add(record.partition() + "/" + record.offset());
                    try {
                        consumer.commitSync();
                    } catch (RebalanceInProgressException inProgress) {
                        // Of the cooperative protocol: what was read is committed when the next poll has ended it.
                    }
                }
            } catch (Throwable thrown) {
                failure = thrown;
            }
        }

        @Override
        public void close() throws InterruptedException {
            isOn.set(false);
            thread.join();
        }
    }

    static void all() {
        run("group: commits, and goes on where it was", () -> {
            var topic = topic(1);
            send(topic, 0, 30);
            var group = Cases.unique("g");
            try (var consumer = consumer("group.id", group, "max.poll.records", "10", "enable.auto.commit", "false")) {
                consumer.subscribe(List.of(topic));
                equal(values(read(consumer, 10)).get(0), "0", "first");
                var partition = new TopicPartition(topic, 0);
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(12, "a word")));
                equal(consumer.committed(Set.of(partition)).get(partition), new OffsetAndMetadata(12, "a word"), "committed");
            }
            try (var consumer = consumer("group.id", group)) {
                consumer.subscribe(List.of(topic));
                equal(values(read(consumer, 18)).get(0), "12", "first again");
            }
        });
        for (var assignor : List.of("RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor")) {
            run("group: members share, " + assignor, () -> {
                var topic = topic(6);
                var group = Cases.unique("g");
                var strategy = new Object[] {"partition.assignment.strategy", PREFIX + assignor};
                try (var first = new Member(group, topic, strategy)) {
                    until("the first has all", () -> first.owned.size() == 6);
                    try (var second = new Member(group, topic, strategy)) {
                        until("both have half", () -> first.owned.size() == 3 && second.owned.size() == 3);
                        for (int partition = 0; partition < 6; partition++) send(topic, partition, 20);
                        until("all is seen", () -> first.seen.size() + second.seen.size() >= 120);
                        var both = new HashSet<>(first.seen);
                        both.addAll(second.seen);
                        equal(both.size(), 120, "places");
                        equal(first.seen.size() + second.seen.size(), 120, "records");
                    }
                    until("the first has all again", () -> first.owned.size() == 6);
                    equal(first.failure, null, "failure");
                }
            });
        }
        run("group: a static member comes back to what it had", () -> {
            var topic = topic(4);
            var group = Cases.unique("g");
            try (var other = new Member(group, topic, "group.instance.id", "other")) {
                Set<TopicPartition> had;
                try (var member = new Member(group, topic, "group.instance.id", "one")) {
                    until("both have half", () -> other.owned.size() == 2 && member.owned.size() == 2);
                    had = Set.copyOf(member.owned);
                }
                try (var member = new Member(group, topic, "group.instance.id", "one")) {
                    until("it has something", () -> member.owned.size() == 2);
                    equal(Set.copyOf(member.owned), had, "partitions");
                    equal(other.owned.size(), 2, "partitions of the other");
                }
            }
        });
        run("group: two of one instance id, the first is fenced", () -> {
            var topic = topic(1);
            var group = Cases.unique("g");
            try (var first = new Member(group, topic, "group.instance.id", "same")) {
                until("the first is there", () -> first.owned.size() == 1);
                try (var second = new Member(group, topic, "group.instance.id", "same")) {
                    until("the second is there", () -> second.owned.size() == 1);
                    until("the first is fenced", () -> first.failure != null);
                    equal(first.failure.getClass().getSimpleName(), "FencedInstanceIdException", "why");
                }
            }
        });
        run("group: by a pattern, with topics that come", () -> {
            var prefix = Cases.unique("pattern");
            ADMIN.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(prefix + "-a", 1, (short) 1))).all().get();
            try (var consumer = consumer("group.id", Cases.unique("g"), "metadata.max.age.ms", "500")) {
                consumer.subscribe(Pattern.compile(prefix + "-.*"));
                until("the first", () -> {
                    consumer.poll(Duration.ofMillis(100));
                    return consumer.assignment().size() == 1;
                });
                ADMIN.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(prefix + "-b", 2, (short) 1))).all().get();
                until("both", () -> {
                    consumer.poll(Duration.ofMillis(100));
                    return consumer.assignment().size() == 3;
                });
            }
        });
        run("group: a commit of one that is out", () -> {
            var topic = topic(1);
            var group = Cases.unique("g");
            try (var consumer = consumer("group.id", group, "max.poll.interval.ms", "1000", "session.timeout.ms", "6000", "heartbeat.interval.ms", "200", "enable.auto.commit", "false")) {
                consumer.subscribe(List.of(topic));
                until("it is in", () -> {
                    consumer.poll(Duration.ofMillis(100));
                    return consumer.assignment().size() == 1;
                });
                Thread.sleep(2_500);
                var offsets = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0));
                fails("CommitFailedException", () -> consumer.commitSync(offsets));
            }
        });
        run("group: listed, described, offsets altered and deleted, deleted", () -> {
            var topic = topic(2);
            var group = Cases.unique("g");
            var partition = new TopicPartition(topic, 0);
            try (var member = new Member(group, topic, "client.id", "a-client")) {
                until("it is there", () -> member.owned.size() == 2);
                var listed = ADMIN.listGroups().all().get().stream().filter(each -> each.groupId().equals(group)).toList();
                equal(listed.size(), 1, "listed");
                var described = ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group);
                equal(described.groupState().toString(), "Stable", "state");
                equal(described.partitionAssignor(), "range", "assignor");
                var one = described.members().iterator().next();
                equal(one.clientId(), "a-client", "client");
                equal(new TreeSet<>(one.assignment().topicPartitions().stream().map(TopicPartition::partition).toList()), new TreeSet<>(List.of(0, 1)), "assignment");
                fails("GroupNotEmptyException", () -> ADMIN.deleteConsumerGroups(List.of(group)).all().get());
                fails("GroupSubscribedToTopicException", () -> ADMIN.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get());
                fails("UnknownMemberIdException", () -> ADMIN.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1))).all().get());
            }
            until("it is empty", () -> ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group).groupState().toString().equals("Empty"));
            ADMIN.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(7, "m"))).all().get();
            equal(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition), new OffsetAndMetadata(7, "m"), "altered");
            ADMIN.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
            equal(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition), null, "deleted");
            ADMIN.deleteConsumerGroups(List.of(group)).all().get();
            fails("GroupIdNotFoundException", () -> ADMIN.deleteConsumerGroups(List.of(group)).all().get());
        });
        run("group: offsets of a group that nobody joins", () -> {
            var topic = topic(1);
            send(topic, 0, 10);
            var partition = new TopicPartition(topic, 0);
            var group = Cases.unique("g");
            try (var consumer = consumer("group.id", group, "enable.auto.commit", "false")) {
                consumer.assign(List.of(partition));
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(4)));
            }
            try (var consumer = consumer("group.id", group)) {
                consumer.assign(List.of(partition));
                equal(values(read(consumer, 6)).get(0), "4", "first");
            }
        });
    }
}
