package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"manifold/tests/compat/cases"
)

func pointer[T any](value T) *T { return &value }

// configOf is a configuration of a topic, as it is described.
func configOf(topic, name string) *kadm.Config {
	described, err := admin().DescribeTopicConfigs(soon(), topic)
	cases.Check(err)
	found, err := described.On(topic, nil)
	cases.Check(err)
	for _, config := range found.Configs {
		if config.Key == name {
			return &config
		}
	}
	cases.Fail("%s has no %s", topic, name)
	return nil
}

// listed is a topic as Metadata tells of it.
func listed(topic string) kadm.TopicDetail {
	details, err := admin().ListTopics(soon(), topic)
	cases.Check(err)
	return details[topic]
}

func shown(config *kadm.Config) []any { return []any{config.MaybeValue(), config.Source} }

func offsetsOf(topic string, partition int32, at int64, text string) kadm.Offsets {
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: text})
	return offsets
}

func administration() {
	cases.Run("topics: made, described, listed, deleted", func() {
		name := cases.Unique("t")
		checked, err := admin().ValidateCreateTopics(soon(), 3, 1, nil, name)
		cases.Check(err)
		cases.Check(checked.Error())
		details, err := admin().ListTopics(soon(), name)
		cases.Check(err)
		fails("only checked", details[name].Err, kerr.UnknownTopicOrPartition)
		made, err := admin().CreateTopic(soon(), 3, 1, map[string]*string{"retention.ms": pointer("3600000")}, name)
		cases.Check(err)
		cases.Equal("made", []any{made.NumPartitions, made.ReplicationFactor, *made.Configs["retention.ms"].Value}, []any{int32(3), int16(1), "3600000"})
		// kadm remembers for a moment that there was none.
		until("it is there", func() bool { return listed(name).Err == nil })
		details = kadm.TopicDetails{name: listed(name)}
		cases.Equal("id", details[name].ID, made.ID)
		cases.Equal("partitions", details[name].Partitions.Numbers(), []int32{0, 1, 2})
		brokers, err := admin().ListBrokers(soon())
		cases.Check(err)
		for _, partition := range details[name].Partitions {
			cases.Equal("leader, replicas", []any{partition.Leader, partition.Replicas, partition.ISR}, []any{brokers[0].NodeID, []int32{brokers[0].NodeID}, []int32{brokers[0].NodeID}})
		}
		for what, wanted := range map[string]error{name: kerr.TopicAlreadyExists, "no/name": kerr.InvalidTopicException} {
			_, err = admin().CreateTopic(soon(), 1, 1, nil, what)
			fails(what, err, wanted)
		}
		_, err = admin().CreateTopic(soon(), 1, 3, nil, cases.Unique("t"))
		fails("three replicas", err, kerr.InvalidReplicationFactor)
		_, err = admin().CreateTopic(soon(), 0, 1, nil, cases.Unique("t"))
		fails("no partitions", err, kerr.InvalidPartitions)
		_, err = admin().CreateTopic(soon(), 1, 1, map[string]*string{"retention.ms": pointer("soon")}, cases.Unique("t"))
		fails("a bad configuration", err, kerr.InvalidConfig)
		_, err = admin().DeleteTopic(soon(), name)
		cases.Check(err)
		_, err = admin().DeleteTopic(soon(), name)
		fails("deleted", err, kerr.UnknownTopicOrPartition)
		until("it is not listed", func() bool {
			all, err := admin().ListTopics(soon())
			cases.Check(err)
			return len(all) > 0 && !all.Has(name)
		})
	})
	cases.Run("configurations: set, appended, subtracted, deleted, replaced", func() {
		topic := newTopic(1)
		cases.Equal("before", shown(configOf(topic, "retention.bytes")), []any{"-1", kmsg.ConfigSourceDefaultConfig})
		alter := func(configs ...kadm.AlterConfig) error {
			altered, err := admin().AlterTopicConfigs(soon(), configs, topic)
			cases.Check(err)
			_, err = altered.On(topic, func(one *kadm.AlterConfigsResponse) error { return one.Err })
			return err
		}
		cases.Check(alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.bytes", Value: pointer("5000000")},
			kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: pointer("compact")}))
		changed := configOf(topic, "retention.bytes")
		cases.Equal("set", shown(changed), []any{"5000000", kmsg.ConfigSourceDynamicTopicConfig})
		cases.Equal("synonyms", len(changed.Synonyms) >= 1 && *changed.Synonyms[0].Value == "5000000", true)
		cases.Equal("appended", configOf(topic, "cleanup.policy").MaybeValue(), "delete,compact")
		cases.Check(alter(kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: pointer("delete")}))
		cases.Equal("subtracted", configOf(topic, "cleanup.policy").MaybeValue(), "compact")
		fails("appended to what is no list", alter(kadm.AlterConfig{Op: kadm.AppendConfig, Name: "segment.ms", Value: pointer("1")}), kerr.InvalidConfig)
		fails("no such", alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "no.such", Value: pointer("1")}), kerr.InvalidConfig)
		checked, err := admin().ValidateAlterTopicConfigs(soon(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.bytes", Value: pointer("7")}}, topic)
		cases.Check(err)
		cases.Check(checked[0].Err)
		cases.Equal("only checked", configOf(topic, "retention.bytes").MaybeValue(), "5000000")
		cases.Check(alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.bytes"}))
		cases.Equal("deleted", shown(configOf(topic, "retention.bytes")), []any{"-1", kmsg.ConfigSourceDefaultConfig})
		replaced, err := admin().AlterTopicConfigsState(soon(), []kadm.AlterConfig{{Name: "segment.ms", Value: pointer("70000")}}, topic)
		cases.Check(err)
		cases.Check(replaced[0].Err)
		cases.Equal("replaced", shown(configOf(topic, "segment.ms")), []any{"70000", kmsg.ConfigSourceDynamicTopicConfig})
		cases.Equal("not kept", configOf(topic, "cleanup.policy").MaybeValue(), "delete")
		altered, err := admin().AlterTopicConfigs(soon(), []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "segment.ms"}}, cases.Unique("absent"))
		cases.Check(err)
		fails("of no topic", altered[0].Err, kerr.UnknownTopicOrPartition)
	})
	cases.Run("configurations of the broker; resources that have some", func() {
		brokers, err := admin().ListBrokers(soon())
		cases.Check(err)
		described, err := admin().DescribeBrokerConfigs(soon(), brokers[0].NodeID)
		cases.Check(err)
		cases.Check(described[0].Err)
		found := map[string]string{}
		for _, config := range described[0].Configs {
			found[config.Key] = config.MaybeValue()
		}
		cases.Equal("node.id", found["node.id"], fmt.Sprint(brokers[0].NodeID))
		cases.Equal("num.partitions", found["num.partitions"] != "", true)
	})
	cases.Run("partitions are added, never taken away", func() {
		topic := newTopic(2)
		checked, err := admin().ValidateUpdatePartitions(soon(), 9, topic)
		cases.Check(err)
		cases.Check(checked.Error())
		added, err := admin().CreatePartitions(soon(), 3, topic)
		cases.Check(err)
		cases.Check(added.Error())
		until("there are five", func() bool { return len(listed(topic).Partitions) == 5 })
		fill(topic, 4, 0, 2)
		fewer, err := admin().UpdatePartitions(soon(), 3, topic)
		cases.Check(err)
		_, err = fewer.On(topic, func(one *kadm.CreatePartitionsResponse) error { return one.Err })
		fails("fewer", err, kerr.InvalidPartitions)
	})
	cases.Run("offsets: start, end, committed, by time, of the latest time", func() {
		topic, base := newTopic(2), time.Now().Add(-time.Hour).UnixMilli()
		producer := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer producer.Close()
		for _, number := range []int64{0, 1, 5, 3, 4} {
			cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: []byte("x"), Timestamp: time.UnixMilli(base + number*1000)}).FirstErr())
		}
		at := func(what string, listed kadm.ListedOffsets, err error, partition int32) []int64 {
			cases.Check(err)
			found, isThere := listed.Lookup(topic, partition)
			cases.Equal(what+" is there", isThere, true)
			cases.Check(found.Err)
			return []int64{found.Offset, found.Timestamp}
		}
		listed, err := admin().ListStartOffsets(soon(), topic)
		cases.Equal("start", at("start", listed, err, 0)[0], int64(0))
		listed, err = admin().ListEndOffsets(soon(), topic)
		cases.Equal("end", at("end", listed, err, 0)[0], int64(5))
		cases.Equal("end of an empty one", at("end", listed, err, 1)[0], int64(0))
		listed, err = admin().ListCommittedOffsets(soon(), topic)
		cases.Equal("committed", at("committed", listed, err, 0)[0], int64(5))
		listed, err = admin().ListMaxTimestampOffsets(soon(), topic)
		cases.Equal("latest time", at("latest time", listed, err, 0), []int64{2, base + 5000})
		listed, err = admin().ListLocalLogStartOffsets(soon(), topic)
		cases.Equal("local start", at("local start", listed, err, 0)[0], int64(0))
		listed, err = admin().ListOffsetsAfterMilli(soon(), base+500, topic)
		cases.Equal("by time", at("by time", listed, err, 0), []int64{1, base + 1000})
		listed, err = admin().ListOffsetsAfterMilli(soon(), base+2000, topic)
		cases.Equal("the first not before", at("by time", listed, err, 0), []int64{2, base + 5000})
		listed, err = admin().ListOffsetsAfterMilli(soon(), base+9000, topic)
		cases.Equal("of later times the end", at("by time", listed, err, 0)[0], int64(5))
	})
	cases.Run("records are deleted up to an offset", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 10)
		deleted, err := admin().DeleteRecords(soon(), offsetsOf(topic, 0, 4, ""))
		cases.Check(err)
		one, _ := deleted.Lookup(topic, 0)
		cases.Equal("low watermark", []any{one.LowWatermark, one.Err}, []any{int64(4), nil})
		listed, err := admin().ListStartOffsets(soon(), topic)
		cases.Check(err)
		cases.Equal("start", listed[topic][0].Offset, int64(4))
		deleted, err = admin().DeleteRecords(soon(), offsetsOf(topic, 0, 11, ""))
		cases.Check(err)
		one, _ = deleted.Lookup(topic, 0)
		fails("beyond the end", one.Err, kerr.OffsetOutOfRange)
		deleted, err = admin().DeleteRecords(soon(), offsetsOf(topic, 0, -1, ""))
		cases.Check(err)
		one, _ = deleted.Lookup(topic, 0)
		cases.Equal("all", []any{one.LowWatermark, one.Err}, []any{int64(10), nil})
	})
	adminOfGroups()
	cases.Run("log directories: bytes of partitions", func() {
		topic := newTopic(2)
		producer := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer producer.Close()
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: cases.Bytes(50_000)}).FirstErr())
		described, err := admin().DescribeAllLogDirs(soon(), kadm.TopicsSet{topic: {0: {}, 1: {}}})
		cases.Check(err)
		dirs := described.Sorted()
		cases.Equal("directories", len(dirs), 1)
		one, isThere := dirs[0].Topics.Lookup(topic, 0)
		cases.Equal("of one that was written", isThere && one.Size >= 50_000 && one.Size < 200_000, true)
		other, isThere := dirs[0].Topics.Lookup(topic, 1)
		cases.Equal("of one that was not", isThere && other.Size == 0, true)
	})
	cases.Run("quotas: set, described, applied, removed", func() {
		id := cases.Unique("client")
		entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &id}}
		alter := func(operation kadm.AlterClientQuotaOp) {
			altered, err := admin().AlterClientQuotas(soon(), []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{operation}}})
			cases.Check(err)
			cases.Check(altered[0].Err)
		}
		described := func() kadm.DescribedClientQuotas {
			found, err := admin().DescribeClientQuotas(soon(), true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &id, MatchType: kadm.QuotasMatchType(0)}})
			cases.Check(err)
			return found
		}
		alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Value: 10_000})
		until("it is there", func() bool { return len(described()) == 1 })
		cases.Equal("described", described()[0].Values, kadm.ClientQuotaValues{{Key: "producer_byte_rate", Value: 10_000}})
		topic, throttled := newTopic(1), &throttles{}
		producer := client(kgo.ClientID(id), kgo.DefaultProduceTopic(topic), kgo.WithHooks(throttled), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer producer.Close()
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: cases.Bytes(125_000)}).FirstErr())
		until("the client is told to wait", func() bool { return throttled.longest.Load() > int64(500*time.Millisecond) })
		alter(kadm.AlterClientQuotaOp{Key: "producer_byte_rate", Remove: true})
		until("it is removed", func() bool { return len(described()) == 0 })
	})
	cases.Run("leaders are not elected where there is one replica; nothing is reassigned", func() {
		topic := newTopic(1)
		elected, err := admin().ElectLeaders(soon(), kadm.ElectPreferredReplica, kadm.TopicsSet{topic: {0: {}}})
		cases.Check(err)
		fails("elected", elected[topic][0].Err, kerr.ElectionNotNeeded)
		moving, err := admin().ListPartitionReassignments(soon(), kadm.TopicsSet{topic: {0: {}}})
		cases.Check(err)
		cases.Equal("moving", len(moving.Sorted()), 0)
	})
	cases.Run("what is not there is said: access lists, delegation tokens, features", func() {
		_, err := admin().DescribeACLs(soon(), kadm.NewACLs().AnyResource().ResourcePatternType(kadm.ACLPatternAny).Operations().Allow().AllowHosts().Deny().DenyHosts())
		unknown("access lists", err)
		_, err = admin().CreateDelegationToken(soon(), kadm.CreateDelegationToken{})
		unknown("delegation tokens", err)
		_, err = admin().UpdateFeatures(soon(), true, kadm.FeatureUpdate{Feature: "group.version", MaxVersionLevel: 1})
		unknown("features", err)
	})
}
