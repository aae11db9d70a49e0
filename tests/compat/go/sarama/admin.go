package main

import (
	"time"

	"github.com/IBM/sarama"
	"manifold/tests/compat/cases"
)

func administration() {
	// Of what is older Apache Kafka 4 has left requests out (KIP-896), and so has this broker.
	for _, version := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_4_0_0, sarama.DefaultVersion, sarama.MaxVersion} {
		cases.Run("ClusterAdmin of version "+version.String()+": topics, configurations, partitions, records", func() {
			admin, err := sarama.NewClusterAdmin(brokers, configured(version))
			cases.Check(err)
			defer admin.Close()
			name, hour, week := cases.Unique("s"), "3600000", "604800000"
			detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}
			cases.Check(admin.CreateTopic(name, detail, true))
			cases.Check(admin.CreateTopic(name, detail, false))
			fails("again", admin.CreateTopic(name, detail, false), sarama.ErrTopicAlreadyExists)
			topics, err := admin.ListTopics()
			cases.Check(err)
			cases.Equal("listed", []any{topics[name].NumPartitions, *topics[name].ConfigEntries["retention.ms"]}, []any{int32(2), hour})
			retention := func() string {
				entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"retention.ms"}})
				cases.Check(err)
				cases.Equal("entries", len(entries), 1)
				return entries[0].Value
			}
			cases.Check(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &week}, true))
			cases.Equal("only checked", retention(), hour)
			cases.Check(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &week}, false))
			cases.Equal("altered", retention(), week)
			if version.IsAtLeast(sarama.V2_3_0_0) {
				cases.Check(admin.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
					"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &hour},
				}, false))
				cases.Equal("altered", retention(), hour)
			}
			cases.Check(admin.CreatePartitions(name, 4, nil, false))
			until("there are four", func() bool {
				described, err := admin.DescribeTopics([]string{name})
				cases.Check(err)
				return len(described[0].Partitions) == 4
			})
			fill(name, 3, 20)
			cases.Check(admin.DeleteRecords(name, map[int32]int64{3: 12}))
			client, err := sarama.NewClient(brokers, configured(version))
			cases.Check(err)
			defer client.Close()
			offset, err := client.GetOffset(name, 3, sarama.OffsetOldest)
			cases.Check(err)
			cases.Equal("start", offset, int64(12))
			cases.Check(admin.DeleteTopic(name))
			fails("deleted", admin.DeleteTopic(name), sarama.ErrUnknownTopicOrPartition)
		})
	}
	cases.Run("ClusterAdmin: groups and their offsets", func() {
		topic, group := newTopic(1), cases.Unique("g")
		fill(topic, 0, 10)
		one := join(group, topic, sarama.DefaultVersion)
		until("it has read", func() bool { return len(one.records()) == 10 })
		listed, err := admin().ListConsumerGroups()
		cases.Check(err)
		cases.Equal("listed", listed[group], "consumer")
		described, err := admin().DescribeConsumerGroups([]string{group})
		cases.Check(err)
		cases.Equal("described", []any{described[0].State, described[0].ProtocolType, described[0].Protocol, len(described[0].Members)}, []any{"Stable", "consumer", "range", 1})
		fails("with a member", admin().DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
		one.close()
		altered, err := admin().AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: 4, Metadata: "four", LeaderEpoch: -1}}}, nil)
		cases.Check(err)
		cases.Equal("altered", altered.Errors[topic][0], sarama.ErrNoError)
		offsets, err := admin().ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
		cases.Check(err)
		cases.Equal("offset", []any{offsets.GetBlock(topic, 0).Offset, offsets.GetBlock(topic, 0).Metadata}, []any{int64(4), "four"})
		cases.Check(admin().DeleteConsumerGroupOffset(group, topic, 0))
		offsets, err = admin().ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
		cases.Check(err)
		cases.Equal("deleted", offsets.GetBlock(topic, 0).Offset, int64(-1))
		cases.Check(admin().DeleteConsumerGroup(group))
		fails("deleted", admin().DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound)
	})
	cases.Run("ClusterAdmin: the cluster, log directories, offsets, quotas", func() {
		topic := newTopic(1)
		fill(topic, 0, 10)
		nodes, controller, err := admin().DescribeCluster()
		cases.Check(err)
		cases.Equal("brokers", []any{len(nodes), nodes[0].ID()}, []any{1, controller})
		dirs, err := admin().DescribeLogDirs([]int32{controller})
		cases.Check(err)
		size := int64(0)
		for _, found := range dirs[controller][0].Topics {
			if found.Topic == topic {
				size = found.Partitions[0].Size
			}
		}
		cases.Equal("bytes", size > 0, true)
		listed, err := admin().ListOffsets(map[string]map[int32]int64{topic: {0: time.Now().Add(-time.Hour).UnixMilli()}}, nil)
		cases.Check(err)
		cases.Equal("by time", listed[topic][0].Offset, int64(0))
		client := cases.Unique("client")
		entity := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Name: client}}
		cases.Check(admin().AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "consumer_byte_rate", Value: 5_000_000}, false))
		quotas, err := admin().DescribeClientQuotas([]sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Match: client}}, true)
		cases.Check(err)
		cases.Equal("quota", []any{len(quotas), quotas[0].Values["consumer_byte_rate"]}, []any{1, 5_000_000.0})
		cases.Check(admin().AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "consumer_byte_rate", Remove: true}, false))
	})
}
