package main

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// throttles notes the longest time for which a client was told to wait.
type throttles struct{ longest atomic.Int64 }

func (throttles *throttles) OnBrokerThrottle(_ kgo.BrokerMetadata, interval time.Duration, _ bool) {
	if int64(interval) > throttles.longest.Load() {
		throttles.longest.Store(int64(interval))
	}
}

func adminOfGroups() {
	cases.Run("groups: listed, described, lag, deleted", func() {
		topic, group := newTopic(2), cases.Unique("g")
		fill(topic, 0, 0, 10)
		one := joinCommitting(group, topic, kgo.ClientID("a-client"))
		until("it has read", func() bool { return len(one.records()) == 10 })
		until("it has committed", func() bool { offset, _ := committed(group, topic, 0); return offset == 10 })
		listed, err := admin().ListGroups(soon(), "Stable")
		cases.Check(err)
		cases.Equal("listed", []string{listed[group].State, listed[group].ProtocolType}, []string{"Stable", "consumer"})
		listed, err = admin().ListGroups(soon(), "Empty")
		cases.Check(err)
		cases.Equal("not listed by another state", slices.Contains(listed.Groups(), group), false)
		described, err := admin().DescribeGroups(soon(), group)
		cases.Check(err)
		found := described[group]
		cases.Equal("group", []string{found.State, found.ProtocolType, found.Protocol, found.Members[0].ClientID}, []string{"Stable", "consumer", "cooperative-sticky", "a-client"})
		cases.Equal("assigned", found.AssignedPartitions(), kadm.TopicsSet{topic: {0: {}, 1: {}}})
		cases.Equal("topics", found.JoinTopics(), []string{topic})
		deleted, err := admin().DeleteGroup(soon(), group)
		if err == nil {
			err = deleted.Err
		}
		fails("with a member", err, kerr.NonEmptyGroup)
		without, err := admin().DeleteOffsets(soon(), group, kadm.TopicsSet{topic: {0: {}}})
		cases.Check(err)
		fails("offsets of a topic that is read", without.Error(), kerr.GroupSubscribedToTopic)
		one.close()
		fill(topic, 0, 10, 7)
		lags, err := admin().Lag(soon(), group)
		cases.Check(err)
		lag := lags[group]
		cases.Check(lag.Error())
		of, _ := lag.Lag.Lookup(topic, 0)
		cases.Equal("state, offset, end, lag", []any{lag.State, of.Commit.At, of.End.Offset, of.Lag}, []any{"Empty", int64(10), int64(17), int64(7)})
		deleted, err = admin().DeleteGroup(soon(), group)
		cases.Check(err)
		cases.Check(deleted.Err)
		deleted, err = admin().DeleteGroup(soon(), group)
		if err == nil {
			err = deleted.Err
		}
		fails("deleted", err, kerr.GroupIDNotFound)
		described, err = admin().DescribeGroups(soon(), group)
		if err == nil {
			err = described.Error()
		}
		if err != nil {
			fails("described after that", err, kerr.GroupIDNotFound)
		} else {
			cases.Equal("state after that", described[group].State, "Dead")
		}
	})
	cases.Run("offsets of a group: committed, fetched, deleted by the administrator", func() {
		topic, group := newTopic(2), cases.Unique("g")
		fill(topic, 0, 0, 10)
		answered, err := admin().CommitOffsets(soon(), group, offsetsOf(topic, 0, 7, "a text"))
		cases.Check(err)
		cases.Check(answered.Error())
		offset, text := committed(group, topic, 0)
		cases.Equal("committed", []any{offset, text}, []any{int64(7), "a text"})
		fetched, err := admin().FetchOffsetsForTopics(soon(), group, topic)
		cases.Check(err)
		none, isThere := fetched.Lookup(topic, 1)
		cases.Equal("none of the other partition", []any{isThere, none.At}, []any{true, int64(-1)})
		many := admin().FetchManyOffsets(soon(), group, cases.Unique("g"))
		cases.Check(many.Error())
		cases.Equal("of many groups", len(many), 2)
		long, err := admin().CommitOffsets(soon(), group, offsetsOf(topic, 0, 8, string(make([]byte, 5_000))))
		cases.Check(err)
		fails("a text that is too long", long.Error(), kerr.OffsetMetadataTooLarge)
		// By the topic's id, too.
		details, err := admin().ListTopics(soon(), topic)
		cases.Check(err)
		var byId kadm.OffsetsByID
		byId.Add(kadm.Offset{TopicID: details[topic].ID, Partition: 1, At: 3, LeaderEpoch: -1})
		cases.Check(admin().CommitAllOffsetsByID(soon(), group, byId))
		offset, _ = committed(group, topic, 1)
		cases.Equal("by id", offset, int64(3))
		deleted, err := admin().DeleteOffsets(soon(), group, kadm.TopicsSet{topic: {0: {}}})
		cases.Check(err)
		cases.Check(deleted.Error())
		offset, _ = committed(group, topic, 0)
		cases.Equal("deleted", offset, int64(-1))
		offset, _ = committed(group, topic, 1)
		cases.Equal("kept", offset, int64(3))
	})
}
