package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// Both go on through whatever becomes of the broker, which is killed under them: tests/compat/franz-go-kill.test.ts.

const lastingPartitions = 3

func briefly(int) time.Duration { return 50 * time.Millisecond }

// numbers produces so many, in turn to each partition, and writes how many were acknowledged.
func numbers(topic, count string) {
	producer := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.RetryBackoffFn(briefly), kgo.ProducerLinger(0))
	acknowledged, wanted := 0, 0
	_, err := fmt.Sscan(count, &wanted)
	cases.Check(err)
	for number := range wanted {
		record := &kgo.Record{Partition: int32(number % lastingPartitions), Value: fmt.Append(nil, number)}
		producer.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			// Where the log has only what was acknowledged, each once, a number's offset is known before.
			if err == nil && record.Offset == int64(number/lastingPartitions) {
				acknowledged++
			} else {
				fmt.Println("failed", number, record.Offset, err)
			}
		})
		if number%10 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	cases.Check(producer.Flush(context.Background()))
	fmt.Println("acknowledged", acknowledged)
}

// follow reads a topic in a group, commits each poll, and writes a line for each record that it read and that it committed, until it is ended.
// A poll that could not be committed, since the group had changed, is read again by whoever has the partition then.
func follow(topic, group string) {
	reader := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.RetryBackoffFn(briefly), kgo.HeartbeatInterval(200*time.Millisecond))
	for {
		fetches := reader.PollRecords(context.Background(), 50)
		fetches.EachRecord(func(record *kgo.Record) { fmt.Printf("read %d %d\n", record.Partition, record.Offset) })
		if err := commitInRebalance(context.Background(), reader); err == nil {
			fetches.EachPartition(func(part kgo.FetchTopicPartition) {
				part.EachRecord(func(record *kgo.Record) { fmt.Printf("committed %d %d\n", record.Partition, record.Offset) })
			})
		}
		reader.AllowRebalance()
	}
}
