package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"manifold/tests/compat/cases"
)

const shared = 6

// committed is the offset and the text that a group has for a partition; -1 where it has none.
func committed(group, topic string, partition int32) (int64, string) {
	offsets, err := admin().FetchOffsets(soon(), group)
	cases.Check(err)
	found, isThere := offsets.Lookup(topic, partition)
	if !isThere {
		return -1, ""
	}
	cases.Check(found.Err)
	return found.At, found.Metadata
}

func membersCome(name string, options ...kgo.Opt) {
	cases.Run(name+": three members come and go while records flow, each record once", func() {
		topic, group := newTopic(shared), cases.Unique("g")
		flow := flowing(topic, shared)
		first := joinCommitting(group, topic, options...)
		until("the first has all", func() bool { return first.has(shared) })
		second := joinCommitting(group, topic, options...)
		until("both have half", func() bool { return first.has(3) && second.has(3) })
		third := joinCommitting(group, topic, options...)
		until("each has a third", func() bool { return first.has(2) && second.has(2) && third.has(2) })
		for _, member := range []*member{first, second, third} {
			before := len(member.records())
			until("each reads", func() bool { return len(member.records()) > before })
		}
		second.close()
		until("two have all", func() bool { return first.has(3) && third.has(3) })
		first.close()
		until("the last has all", func() bool { return third.has(shared) })
		ends := flow.end()
		count := total(ends)
		until("all is read", func() bool { return len(all(first, second, third)) >= count })
		third.close()
		for _, member := range []*member{first, second, third} {
			cases.Check(member.why())
		}
		complete(all(first, second, third), ends)
		for partition, end := range ends {
			offset, _ := committed(group, topic, partition)
			cases.Equal(fmt.Sprint("committed of ", partition), offset, int64(end))
		}
	})
}

func groups() {
	membersCome("cooperative-sticky")
	membersCome("range", kgo.Balancers(kgo.RangeBalancer()))
	membersCome("sticky", kgo.Balancers(kgo.StickyBalancer()))
	membersCome("round robin", kgo.Balancers(kgo.RoundRobinBalancer()))
	cases.Run("from cooperative to eager: the group takes what all have", func() {
		topic, group := newTopic(4), cases.Unique("g")
		first := join(group, topic, kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()))
		defer first.close()
		until("the first has all", func() bool { return first.has(4) })
		second := join(group, topic, kgo.Balancers(kgo.RangeBalancer()))
		defer second.close()
		until("both have half", func() bool { return first.has(2) && second.has(2) })
		described, err := admin().DescribeGroups(soon(), group)
		cases.Check(err)
		cases.Equal("protocol", described[group].Protocol, "range")
	})
	cases.Run("commits by itself, and goes on where it was", func() {
		topic, group := newTopic(2), cases.Unique("g")
		fill(topic, 0, 0, 20)
		fill(topic, 1, 0, 20)
		options := []kgo.Opt{kgo.AutoCommitInterval(100 * time.Millisecond)}
		first := join(group, topic, options...)
		until("all is read", func() bool { return len(first.records()) == 40 })
		// What was polled is committed once it is polled again.
		fill(topic, 0, 20, 1)
		until("it is committed", func() bool { offset, _ := committed(group, topic, 0); return offset >= 20 })
		first.close()
		until("all is committed", func() bool {
			one, _ := committed(group, topic, 0)
			other, _ := committed(group, topic, 1)
			return one == 21 && other == 20
		})
		fill(topic, 0, 21, 4)
		second := join(group, topic, options...)
		defer second.close()
		until("what is new is read", func() bool { return len(second.records()) == 4 })
		cases.Equal("records", second.records(), []string{"0/21", "0/22", "0/23", "0/24"})
	})
	cases.Run("commits by hand, with a text; no commit, no offset", func() {
		topic, group := newTopic(1), cases.Unique("g")
		fill(topic, 0, 0, 30)
		reader := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()), kgo.DisableAutoCommit())
		records := read(reader, 30)
		offset, _ := committed(group, topic, 0)
		cases.Equal("before", offset, int64(-1))
		context := kgo.PreCommitFnContext(soon(), func(request *kmsg.OffsetCommitRequest) error {
			text := "a word, ä"
			request.Topics[0].Partitions[0].Metadata = &text
			return nil
		})
		cases.Check(reader.CommitRecords(context, records[11]))
		offset, text := committed(group, topic, 0)
		cases.Equal("after", []any{offset, text}, []any{int64(12), "a word, ä"})
		// Back again, of one's own will.
		var failed error
		reader.CommitOffsetsSync(soon(), map[string]map[int32]kgo.EpochOffset{topic: {0: {Epoch: -1, Offset: 3}}},
			func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
				failed = err
				if err == nil {
					failed = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
				}
			})
		cases.Check(failed)
		reader.Close()
		again := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
		defer again.Close()
		cases.Equal("first", first(read(again, 27)), "3")
	})
	cases.Run("static members come back to what they had, and nobody else is disturbed", func() {
		topic, group := newTopic(4), cases.Unique("g")
		// The first is the leader: when it comes back itself, kgo has the partitions given out anew where it would do it otherwise.
		other := join(group, topic, kgo.InstanceID("other"))
		defer other.close()
		until("the other has all", func() bool { return other.has(4) })
		one := join(group, topic, kgo.InstanceID("one"))
		until("both have half", func() bool { return other.has(2) && one.has(2) })
		settled(one, other)
		_, generation := other.client.GroupMetadata()
		had, assignments := one.partitions(), other.assignments()
		for range 2 {
			one.close()
			time.Sleep(300 * time.Millisecond)
			cases.Equal("the other's", len(other.partitions()), 2)
			one = join(group, topic, kgo.InstanceID("one"))
			until("it has them again", func() bool { return slices.Equal(one.partitions(), had) })
		}
		defer one.close()
		fill(topic, had[0], 0, 5)
		until("it reads", func() bool { return len(one.records()) == 5 })
		_, after := other.client.GroupMetadata()
		cases.Equal("generation, assignments of the other", []int{int(after), other.assignments()}, []int{int(generation), assignments})
	})
	cases.Run("two of one instance id: the first is fenced", func() {
		topic, group := newTopic(1), cases.Unique("g")
		first := join(group, topic, kgo.InstanceID("same"))
		defer first.close()
		until("the first has it", func() bool { return first.has(1) })
		second := join(group, topic, kgo.InstanceID("same"))
		defer second.close()
		until("the second has it", func() bool { return second.has(1) })
		until("the first is told", func() bool { return first.why() != nil })
		fails("why", first.why(), kerr.FencedInstanceID)
	})
	cases.Run("a static member is taken out by the administrator, and the others have its partitions", func() {
		topic, group := newTopic(4), cases.Unique("g")
		one := join(group, topic, kgo.InstanceID("one"))
		until("it has all", func() bool { return one.has(4) })
		other := join(group, topic, kgo.InstanceID("other"))
		defer other.close()
		until("both have half", func() bool { return other.has(2) && one.has(2) })
		one.close()
		left, err := admin().LeaveGroup(soon(), kadm.LeaveGroup(group).InstanceIDs("one").Reason("it is gone"))
		cases.Check(err)
		cases.Check(left.Error())
		until("the other has all", func() bool { return other.has(4) })
	})
	cases.Run("a member that vanishes is out when its session ends", func() {
		topic, group := newTopic(2), cases.Unique("g")
		gone := join(group, topic, kgo.InstanceID("gone"))
		until("it has all", func() bool { return gone.has(2) })
		// A static member does not take leave: to the others it is as if it had been cut off.
		gone.close()
		began := time.Now()
		other := join(group, topic)
		defer other.close()
		until("the other has all", func() bool { return other.has(2) })
		took := time.Since(began)
		cases.Equal("not before its time", took > 4*time.Second, true)
	})
	cases.Run("partitions that are added are shared out; topics by a regular expression", func() {
		prefix, group := cases.Unique("pattern"), cases.Unique("g")
		topic := prefix + "-a"
		_, err := admin().CreateTopic(soon(), 2, -1, nil, topic)
		cases.Check(err)
		first := join(group, "^"+prefix+"-.*", kgo.ConsumeRegex())
		defer first.close()
		second := join(group, "^"+prefix+"-.*", kgo.ConsumeRegex())
		defer second.close()
		until("each has one", func() bool { return first.has(1) && second.has(1) })
		created, err := admin().CreatePartitions(soon(), 2, topic)
		cases.Check(err)
		cases.Check(created.Error())
		until("each has two", func() bool { return first.has(2) && second.has(2) })
		fill(topic, 3, 0, 10)
		until("the new one is read", func() bool { return len(all(first, second)) == 10 })
		_, err = admin().CreateTopic(soon(), 5, -1, nil, prefix+"-b")
		cases.Check(err)
		fill(prefix+"-b", 4, 0, 10)
		until("a new topic is read", func() bool { return len(all(first, second)) == 20 })
	})
	cases.Run("a group's offset that is out of range: on from where the client says", func() {
		topic, group := newTopic(1), cases.Unique("g")
		fill(topic, 0, 0, 10)
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, 500, -1)
		cases.Check(admin().CommitAllOffsets(soon(), group, offsets))
		reader := join(group, topic)
		defer reader.close()
		until("it reads from the start", func() bool { return len(reader.records()) == 10 })
	})
	laterGroups()
}
