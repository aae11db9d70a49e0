package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// member of a group, which polls in the background until it is closed.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	ended  chan struct{}
	// Whether it commits what it has read itself, before others can have the partition.
	commits bool
	mutex   sync.Mutex
	owned   map[int32]bool
	// Records as "partition/offset".
	seen     []string
	assigned int
	failure  error
}

// join makes a member. Without further options it is as kgo has it: cooperative-sticky, commits by itself.
func join(group, topic string, options ...kgo.Opt) *member {
	return joined(false, group, topic, options)
}

// joinCommitting makes one that reads each record once, whatever the group does: it commits what it polled before it lets a partition go.
func joinCommitting(group, topic string, options ...kgo.Opt) *member {
	return joined(true, group, topic, append(options, kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll()))
}

func joined(commits bool, group, topic string, options []kgo.Opt) *member {
	polling, stop := context.WithCancel(context.Background())
	member := &member{owned: map[int32]bool{}, ended: make(chan struct{}), stop: stop, commits: commits}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { member.own(partitions, false) }
	member.client = client(append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()),
		kgo.HeartbeatInterval(100 * time.Millisecond), kgo.SessionTimeout(6 * time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			member.own(partitions, true)
		}),
		kgo.OnPartitionsRevoked(lost), kgo.OnPartitionsLost(lost), kgo.WithHooks(member),
	}, options...)...)
	go member.poll(polling)
	return member
}

func (member *member) poll(polling context.Context) {
	defer close(member.ended)
	for {
		fetches := member.client.PollFetches(polling)
		if polling.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, _ int32, err error) { member.failed(err) })
		member.mutex.Lock()
		for _, record := range fetches.Records() {
			member.seen = append(member.seen, fmt.Sprintf("%d/%d", record.Partition, record.Offset))
		}
		member.mutex.Unlock()
		if member.commits {
			member.failed(commitInRebalance(context.Background(), member.client))
			member.client.AllowRebalance()
		}
	}
}

// commitInRebalance commits all that was polled; while the members of a cooperative group change, the next attempt does.
func commitInRebalance(context context.Context, client *kgo.Client) error {
	for {
		err := client.CommitUncommittedOffsets(context)
		if !errors.Is(err, kerr.RebalanceInProgress) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (member *member) own(partitions map[string][]int32, isGiven bool) {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	if isGiven {
		member.assigned++
	}
	for _, numbers := range partitions {
		for _, number := range numbers {
			if isGiven {
				member.owned[number] = true
			} else {
				delete(member.owned, number)
			}
		}
	}
}

// OnGroupManageError is told why the group's session of this member ended.
func (member *member) OnGroupManageError(err error) { member.failed(err) }

func (member *member) failed(err error) {
	if err == nil {
		return
	}
	member.mutex.Lock()
	defer member.mutex.Unlock()
	if member.failure == nil {
		member.failure = err
	}
}

func (member *member) partitions() []int32 {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return slices.Sorted(maps.Keys(member.owned))
}

func (member *member) has(count int) bool { return len(member.partitions()) == count }

func (member *member) records() []string {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return slices.Clone(member.seen)
}

func (member *member) assignments() int {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return member.assigned
}

func (member *member) why() error {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return member.failure
}

// settled waits until no rebalance follows: a cooperative one, which takes partitions away, is followed by one that gives them out.
func settled(members ...*member) {
	generations := func() (all []int32) {
		for _, member := range members {
			_, generation := member.client.GroupMetadata()
			all = append(all, generation)
		}
		return all
	}
	for last, since := generations(), time.Now(); time.Since(since) < 600*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		if now := generations(); !slices.Equal(now, last) {
			last, since = now, time.Now()
		}
	}
}

// close ends polling, then leaves the group, unless the member is static: that stays until its session ends.
func (member *member) close() {
	member.stop()
	<-member.ended
	member.client.CloseAllowingRebalance()
}

// all are the records of all members, in no order.
func all(members ...*member) []string {
	records := []string{}
	for _, member := range members {
		records = append(records, member.records()...)
	}
	return records
}

// complete ends the case unless the records are each of the partitions' first offsets, once.
func complete(records []string, ends map[int32]int) {
	counts := map[string]int{}
	for _, record := range records {
		counts[record]++
	}
	lost, twice, wanted := []string{}, []string{}, 0
	for partition, end := range ends {
		wanted += end
		for offset := range end {
			switch place := fmt.Sprintf("%d/%d", partition, offset); counts[place] {
			case 0:
				lost = append(lost, place)
			case 1:
			default:
				twice = append(twice, place)
			}
		}
	}
	cases.Equal("records that nobody has, records that somebody has twice", [][]string{lost, twice}, [][]string{{}, {}})
	cases.Equal("records", len(counts), wanted)
}

// flow produces round and round to all partitions until it is stopped.
type flow struct {
	client *kgo.Client
	stop   context.CancelFunc
	ended  chan struct{}
	ends   map[int32]int
	err    error
}

func flowing(topic string, partitions int32) *flow {
	going, stop := context.WithCancel(context.Background())
	flow := &flow{stop: stop, ended: make(chan struct{}), ends: map[int32]int{}}
	flow.client = client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	go func() {
		defer close(flow.ended)
		for going.Err() == nil && flow.err == nil {
			records := []*kgo.Record{}
			for partition := range partitions {
				for range 5 {
					records = append(records, &kgo.Record{Partition: partition, Value: []byte("x")})
				}
				flow.ends[partition] += 5
			}
			flow.err = flow.client.ProduceSync(context.Background(), records...).FirstErr()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return flow
}

// end stops it, and gives how many records each partition has.
func (flow *flow) end() map[int32]int {
	flow.stop()
	<-flow.ended
	flow.client.Close()
	cases.Check(flow.err)
	return flow.ends
}

func total(ends map[int32]int) int {
	count := 0
	for _, end := range ends {
		count += end
	}
	return count
}
