package compat;

import static compat.Cases.equal;
import static compat.Cases.run;
import static compat.KafkaClients.ADMIN;
import static compat.KafkaClients.fails;
import static compat.KafkaClients.producer;
import static compat.KafkaClients.send;
import static compat.KafkaClients.topic;
import static compat.KafkaClients.until;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The administrator's client for Java. */
final class KafkaAdmin {
    private KafkaAdmin() {}

    private static ConfigEntry config(String topic, String name) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return ADMIN.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
    }

    private static void alter(String topic, String name, String value, AlterConfigOp.OpType operation) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all().get();
    }

    static void all() {
        run("admin: topics are made, described, listed and deleted", () -> {
            var name = Cases.unique("j");
            var made = ADMIN.createTopics(List.of(new NewTopic(name, 3, (short) 1).configs(Map.of("retention.ms", "12345"))));
            equal(made.numPartitions(name).get(), 3, "partitions told");
            equal(made.config(name).get().get("retention.ms").value(), "12345", "config told");
            var described = ADMIN.describeTopics(List.of(name)).allTopicNames().get().get(name);
            equal(described.partitions().size(), 3, "partitions");
            equal(described.topicId(), made.topicId(name).get(), "id");
            equal(described.partitions().get(0).leader() != null, true, "leader");
            equal(ADMIN.listTopics().names().get().contains(name), true, "listed");
            var byId = ADMIN.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).allTopicIds().get();
            equal(byId.get(described.topicId()).name(), name, "by id");
            ADMIN.deleteTopics(TopicCollection.ofTopicIds(List.of(described.topicId()))).all().get();
            until("it is gone", () -> !ADMIN.listTopics().names().get().contains(name));
            fails("UnknownTopicOrPartitionException", () -> ADMIN.deleteTopics(List.of(name)).all().get());
        });
        run("admin: what cannot be made", () -> {
            var name = topic(1);
            fails("TopicExistsException", () -> ADMIN.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get());
            fails("InvalidTopicException", () -> ADMIN.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all().get());
            fails("InvalidPartitionsException", () -> ADMIN.createTopics(List.of(new NewTopic(Cases.unique("j"), 0, (short) 1))).all().get());
            fails("InvalidReplicationFactorException", () -> ADMIN.createTopics(List.of(new NewTopic(Cases.unique("j"), 1, (short) 3))).all().get());
            var bad = new NewTopic(Cases.unique("j"), 1, (short) 1).configs(Map.of("retention.ms", "long"));
            fails("InvalidConfigurationException", () -> ADMIN.createTopics(List.of(bad)).all().get());
            var unknown = new NewTopic(Cases.unique("j"), 1, (short) 1).configs(Map.of("no.such.config", "1"));
            fails("InvalidConfigurationException", () -> ADMIN.createTopics(List.of(unknown)).all().get());
        });
        run("admin: defaults, and only to validate", () -> {
            var name = Cases.unique("j");
            var topic = new NewTopic(name, java.util.Optional.empty(), java.util.Optional.empty());
            ADMIN.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all().get();
            equal(ADMIN.listTopics().names().get().contains(name), false, "made");
            ADMIN.createTopics(List.of(topic)).all().get();
            equal(ADMIN.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().isEmpty(), false, "partitions");
        });
        run("admin: partitions are added", () -> {
            var name = topic(1);
            ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get();
            until("they are there", () -> ADMIN.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() == 4);
            fails("InvalidPartitionsException", () -> ADMIN.createPartitions(Map.of(name, NewPartitions.increaseTo(2))).all().get());
            send(name, 3, 5);
            equal(KafkaClients.stored(name, 3, 5).size(), 5, "records");
        });
        run("admin: configs are described, with their sources, and altered", () -> {
            var name = topic(1);
            equal(config(name, "retention.ms").isDefault(), true, "default");
            equal(config(name, "cleanup.policy").value(), "delete", "cleanup");
            alter(name, "retention.ms", "60000", AlterConfigOp.OpType.SET);
            until("it is set", () -> config(name, "retention.ms").value().equals("60000"));
            equal(config(name, "retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
            alter(name, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            until("it is appended", () -> Set.of(config(name, "cleanup.policy").value().split(",")).equals(Set.of("delete", "compact")));
            alter(name, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
            until("it is subtracted", () -> config(name, "cleanup.policy").value().equals("compact"));
            alter(name, "retention.ms", "", AlterConfigOp.OpType.DELETE);
            until("it is deleted", () -> config(name, "retention.ms").isDefault());
            fails("InvalidConfigurationException", () -> alter(name, "retention.ms", "x", AlterConfigOp.OpType.SET));
            fails("UnknownTopicOrPartitionException", () -> config(Cases.unique("none"), "retention.ms"));
        });
        run("admin: the broker's configs", () -> {
            var node = ADMIN.describeCluster().nodes().get().iterator().next();
            var resource = new ConfigResource(ConfigResource.Type.BROKER, node.idString());
            equal(ADMIN.describeConfigs(List.of(resource)).all().get().get(resource).entries().isEmpty(), false, "entries");
        });
        run("admin: records are deleted, offsets are listed", () -> {
            var name = topic(1);
            try (var producer = producer()) {
                for (long time : new long[] {3_000, 9_000, 5_000}) producer.send(new ProducerRecord<>(name, 0, time, "k", "v")).get();
            }
            var partition = new TopicPartition(name, 0);
            equal(ADMIN.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition).get().offset(), 3L, "latest");
            equal(ADMIN.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition).get().offset(), 0L, "earliest");
            var max = ADMIN.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition).get();
            equal(List.of(max.offset(), max.timestamp()), List.of(1L, 9_000L), "largest time");
            equal(ADMIN.listOffsets(Map.of(partition, OffsetSpec.forTimestamp(4_000))).partitionResult(partition).get().offset(), 1L, "by time");
            ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(2))).all().get();
            equal(ADMIN.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition).get().offset(), 2L, "earliest then");
            fails("OffsetOutOfRangeException", () -> ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(20))).all().get());
        });
        run("admin: the cluster, its log directories, reassignments, leaders", () -> {
            var cluster = ADMIN.describeCluster();
            equal(cluster.nodes().get().size() >= 1, true, "nodes");
            equal(cluster.clusterId().get().isEmpty(), false, "id");
            var node = cluster.nodes().get().iterator().next().id();
            var name = topic(1);
            send(name, 0, 10);
            var directories = ADMIN.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
            equal(directories.values().stream().anyMatch(each -> each.replicaInfos().containsKey(new TopicPartition(name, 0))), true, "it lies there");
            equal(ADMIN.listPartitionReassignments().reassignments().get().isEmpty(), true, "reassignments");
            fails("ElectionNotNeededException", () -> ADMIN.electLeaders(ElectionType.PREFERRED, Set.of(new TopicPartition(name, 0))).all().get());
        });
        run("admin: client quotas are kept and told", () -> {
            var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, Cases.unique("client")));
            var operation = new ClientQuotaAlteration.Op("producer_byte_rate", 1_000_000.0);
            ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(operation)))).all().get();
            until("they are told", () -> Double.valueOf(1_000_000).equals(ADMIN.describeClientQuotas(ClientQuotaFilter.all()).entities().get().getOrDefault(entity, Map.of()).get("producer_byte_rate")));
            ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all().get();
            until("they are gone", () -> !ADMIN.describeClientQuotas(ClientQuotaFilter.all()).entities().get().containsKey(entity));
        });
    }
}
