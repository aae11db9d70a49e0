package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"manifold/tests/compat/cases"
)

// member consumes in a ConsumerGroup until it is closed; what it has marked is committed before its session ends.
type member struct {
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	ended    chan struct{}
	mutex    sync.Mutex
	claimed  []int32
	seen     []string
	sessions int
	failure  error
}

func join(group, topic string, version sarama.KafkaVersion, changes ...func(*sarama.Config)) *member {
	made, err := sarama.NewConsumerGroup(brokers, group, configured(version, changes...))
	cases.Check(err)
	consuming, stop := context.WithCancel(context.Background())
	member := &member{group: made, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(member.ended)
		for consuming.Err() == nil {
			if err := made.Consume(consuming, []string{topic}, member); err != nil && !errors.Is(err, context.Canceled) {
				member.failed(err)
				return
			}
		}
	}()
	return member
}

func (member *member) failed(err error) {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	member.failure = err
}

func (member *member) Setup(session sarama.ConsumerGroupSession) error {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	member.sessions++
	member.claimed = nil
	for _, partitions := range session.Claims() {
		member.claimed = append(member.claimed, partitions...)
	}
	slices.Sort(member.claimed)
	return nil
}

func (member *member) Cleanup(sarama.ConsumerGroupSession) error {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	member.claimed = nil
	return nil
}

func (member *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, isOpen := <-claim.Messages():
			if !isOpen {
				return nil
			}
			member.mutex.Lock()
			member.seen = append(member.seen, fmt.Sprintf("%d/%d", message.Partition, message.Offset))
			member.mutex.Unlock()
			session.MarkMessage(message, "by sarama")
		case <-session.Context().Done():
			return nil
		}
	}
}

func (member *member) partitions() []int32 {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return slices.Clone(member.claimed)
}

func (member *member) has(count int) bool { return len(member.partitions()) == count }

func (member *member) records() []string {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return slices.Clone(member.seen)
}

func (member *member) why() error {
	member.mutex.Lock()
	defer member.mutex.Unlock()
	return member.failure
}

func (member *member) close() {
	member.stop()
	<-member.ended
	cases.Check(member.group.Close())
}

func all(members ...*member) []string {
	records := []string{}
	for _, member := range members {
		records = append(records, member.records()...)
	}
	return records
}

func once(records []string, partitions, count int) {
	counts := map[string]int{}
	for _, record := range records {
		counts[record]++
	}
	wanted := map[string]int{}
	for partition := range partitions {
		for offset := range count {
			wanted[fmt.Sprintf("%d/%d", partition, offset)] = 1
		}
	}
	if !maps.Equal(counts, wanted) {
		cases.Fail("%d records, %d of them different, wanted each of %d once", len(records), len(counts), len(wanted))
	}
}

func strategy(made sarama.BalanceStrategy) func(*sarama.Config) {
	return func(config *sarama.Config) {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{made}
	}
}

func groups() {
	const partitions = 6
	strategies := map[string]func() sarama.BalanceStrategy{
		"range": sarama.NewBalanceStrategyRange, "round robin": sarama.NewBalanceStrategyRoundRobin, "sticky": sarama.NewBalanceStrategySticky,
	}
	for _, name := range slices.Sorted(maps.Keys(strategies)) {
		cases.Run("ConsumerGroup, "+name+": members come and go while records flow, each record once", func() {
			topic, group, change := newTopic(partitions), cases.Unique("g"), strategy(strategies[name]())
			produced := make(chan error, 1)
			count := 0
			flowing, stop := context.WithCancel(context.Background())
			go func() {
				producer, err := sarama.NewSyncProducer(brokers, configured(sarama.DefaultVersion, byHand))
				for err == nil && flowing.Err() == nil {
					for partition := range int32(partitions) {
						if err == nil {
							err = producer.SendMessages(numbered(topic, partition, 5))
						}
					}
					count += 5
					time.Sleep(5 * time.Millisecond)
				}
				if err == nil {
					err = producer.Close()
				}
				produced <- err
			}()
			first := join(group, topic, sarama.DefaultVersion, change)
			until("the first has all", func() bool { return first.has(partitions) })
			second := join(group, topic, sarama.DefaultVersion, change)
			until("both have half", func() bool { return first.has(3) && second.has(3) })
			first.close()
			until("the second has all", func() bool { return second.has(partitions) })
			stop()
			cases.Check(<-produced)
			until("all is read", func() bool { return len(all(first, second)) >= count*partitions })
			second.close()
			cases.Check(first.why())
			cases.Check(second.why())
			once(all(first, second), partitions, count)
		})
	}
	for _, version := range []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V2_1_0_0, sarama.MaxVersion} {
		cases.Run("ConsumerGroup of version "+version.String()+": offsets with a text, and on from there", func() {
			topic, group := newTopic(1), cases.Unique("g")
			fill(topic, 0, 50)
			first := join(group, topic, version)
			until("all is read", func() bool { return len(first.records()) == 50 })
			first.close()
			offsets, err := admin().ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
			cases.Check(err)
			block := offsets.GetBlock(topic, 0)
			cases.Equal("committed", []any{block.Offset, block.Metadata}, []any{int64(50), "by sarama"})
			fill(topic, 0, 3)
			second := join(group, topic, version)
			defer second.close()
			until("what is new is read", func() bool { return len(second.records()) >= 3 })
			cases.Equal("records", second.records(), []string{"0/50", "0/51", "0/52"})
		})
	}
	cases.Run("ConsumerGroup, static: a member comes back to what it had, and the other is not disturbed", func() {
		topic, group := newTopic(4), cases.Unique("g")
		named := func(name string) func(*sarama.Config) {
			return func(config *sarama.Config) { config.Consumer.Group.InstanceId = name }
		}
		other := join(group, topic, sarama.DefaultVersion, named("other"))
		defer other.close()
		until("it has all", func() bool { return other.has(4) })
		one := join(group, topic, sarama.DefaultVersion, named("one"))
		until("both have half", func() bool { return one.has(2) && other.has(2) })
		had := one.partitions()
		other.mutex.Lock()
		sessions := other.sessions
		other.mutex.Unlock()
		one.close()
		one = join(group, topic, sarama.DefaultVersion, named("one"))
		defer one.close()
		until("it has them again", func() bool { return slices.Equal(one.partitions(), had) })
		other.mutex.Lock()
		defer other.mutex.Unlock()
		cases.Equal("sessions of the other", other.sessions, sessions)
	})
	cases.Run("OffsetManager: offsets by hand", func() {
		topic, group := newTopic(1), cases.Unique("g")
		fill(topic, 0, 10)
		client, err := sarama.NewClient(brokers, configured(sarama.DefaultVersion))
		cases.Check(err)
		defer client.Close()
		for _, wanted := range []struct {
			offset int64
			text   string
		}{{-2, ""}, {6, "six"}} {
			manager, err := sarama.NewOffsetManagerFromClient(group, client)
			cases.Check(err)
			partition, err := manager.ManagePartition(topic, 0)
			cases.Check(err)
			offset, text := partition.NextOffset()
			cases.Equal("next", []any{offset, text}, []any{wanted.offset, wanted.text})
			partition.MarkOffset(6, "six")
			manager.Commit()
			cases.Check(partition.Close())
			cases.Check(manager.Close())
		}
	})
}
