package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"manifold/tests/compat/cases"
)

const patience = 9 * time.Second

var brokers = strings.Split(os.Getenv("MANIFOLD_KAFKA"), ",")

// configured is sarama as it comes, of a version, and with the changes.
func configured(version sarama.KafkaVersion, changes ...func(*sarama.Config)) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = version
	config.Producer.Return.Successes = true
	config.Metadata.Retry.Backoff = 50 * time.Millisecond
	config.Metadata.RefreshFrequency = 500 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	for _, change := range changes {
		change(config)
	}
	return config
}

var admin = sync.OnceValue(func() sarama.ClusterAdmin {
	made, err := sarama.NewClusterAdmin(brokers, configured(sarama.DefaultVersion))
	cases.Check(err)
	return made
})

func newTopic(partitions int32) string {
	name := cases.Unique("s")
	cases.Check(admin().CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return name
}

// stored is what a partition has from its start on, of so many records.
func stored(config *sarama.Config, topic string, partition int32, count int) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumer(brokers, config)
	cases.Check(err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	cases.Check(err)
	defer reader.Close()
	messages := []*sarama.ConsumerMessage{}
	for end := time.After(patience); len(messages) < count; {
		select {
		case message := <-reader.Messages():
			cases.Equal("offset", message.Offset, int64(len(messages)))
			messages = append(messages, message)
		case <-end:
			cases.Fail("waited in vain for %d records, have %d", count, len(messages))
		}
	}
	return messages
}

func values(messages []*sarama.ConsumerMessage) []string {
	texts := []string{}
	for _, message := range messages {
		texts = append(texts, string(message.Value))
	}
	return texts
}

func numbered(topic string, partition int32, count int) []*sarama.ProducerMessage {
	messages := []*sarama.ProducerMessage{}
	for number := range count {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(fmt.Sprint(number))})
	}
	return messages
}

// fill produces numbers to one partition.
func fill(topic string, partition int32, count int) {
	producer, err := sarama.NewSyncProducer(brokers, configured(sarama.DefaultVersion, byHand))
	cases.Check(err)
	defer producer.Close()
	cases.Check(producer.SendMessages(numbered(topic, partition, count)))
}

func byHand(config *sarama.Config) { config.Producer.Partitioner = sarama.NewManualPartitioner }

func idempotent(config *sarama.Config) {
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
}

func fails(what string, err, wanted error) {
	if !errors.Is(err, wanted) {
		cases.Fail("%s: got %v, wanted %v", what, err, wanted)
	}
}

func until(what string, isSo func() bool) {
	for end := time.Now().Add(patience); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			cases.Fail("waited in vain for: %s", what)
		}
	}
}
