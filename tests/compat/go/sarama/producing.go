package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"manifold/tests/compat/cases"
)

// send produces by an AsyncProducer, and gives the offsets in the order of the acknowledgements.
func send(config *sarama.Config, messages []*sarama.ProducerMessage) []int64 {
	producer, err := sarama.NewAsyncProducer(brokers, config)
	cases.Check(err)
	defer producer.AsyncClose()
	go func() {
		for _, message := range messages {
			producer.Input() <- message
		}
	}()
	offsets := []int64{}
	for range messages {
		select {
		case message := <-producer.Successes():
			offsets = append(offsets, message.Offset)
		case err := <-producer.Errors():
			cases.Check(err)
		}
	}
	return offsets
}

func producing() {
	versions := []sarama.KafkaVersion{
		sarama.V0_11_0_0, sarama.V1_0_0_0, sarama.V2_1_0_0, sarama.V2_4_0_0, sarama.DefaultVersion, sarama.V3_6_0_0, sarama.MaxVersion,
	}
	for _, version := range versions {
		cases.Run("SyncProducer and Consumer of version "+version.String()+": keys, values, headers, times", func() {
			topic, config := newTopic(1), configured(version)
			producer, err := sarama.NewSyncProducer(brokers, config)
			cases.Check(err)
			defer producer.Close()
			now := time.UnixMilli(time.Now().Add(-time.Minute).UnixMilli())
			headers := []sarama.RecordHeader{{Key: []byte("a"), Value: []byte{0, 255}}, {Key: []byte("b"), Value: []byte{}}}
			partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"), Headers: headers, Timestamp: now,
			})
			cases.Check(err)
			cases.Equal("place", []int64{int64(partition), offset}, []int64{0, 0})
			_, offset, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k")})
			cases.Check(err)
			cases.Equal("offset of a null value", offset, int64(1))
			messages := stored(config, topic, 0, 2)
			cases.Equal("key, value", []string{string(messages[0].Key), string(messages[0].Value)}, []string{"k", "v"})
			cases.Equal("time", messages[0].Timestamp.UnixMilli(), now.UnixMilli())
			cases.Equal("headers", []sarama.RecordHeader{*messages[0].Headers[0], *messages[0].Headers[1]}, headers)
			cases.Equal("null", messages[1].Value == nil, true)
		})
	}
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for _, codec := range codecs {
		cases.Run("AsyncProducer, "+codec.String()+": order and offsets", func() {
			topic := newTopic(1)
			config := configured(sarama.DefaultVersion, func(config *sarama.Config) {
				config.Producer.Compression = codec
				config.Producer.Flush.Frequency = 5 * time.Millisecond
				config.Net.MaxOpenRequests = 1
			})
			for index, offset := range send(config, numbered(topic, 0, 3_000)) {
				cases.Equal("offset", offset, int64(index))
			}
			cases.Equal("values", values(stored(config, topic, 0, 3_000)), cases.Numbers(3_000))
		})
	}
	for _, version := range []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.DefaultVersion, sarama.MaxVersion} {
		cases.Run("idempotent, version "+version.String(), func() {
			topic := newTopic(2)
			config := configured(version, idempotent, byHand)
			for partition := range int32(2) {
				for index, offset := range send(config, numbered(topic, partition, 1_000)) {
					cases.Equal("offset", offset, int64(index))
				}
				cases.Equal("values", values(stored(config, topic, partition, 1_000)), cases.Numbers(1_000))
			}
		})
	}
	for name, acks := range map[string]sarama.RequiredAcks{"none": sarama.NoResponse, "all": sarama.WaitForAll} {
		cases.Run("acks "+name, func() {
			topic := newTopic(1)
			config := configured(sarama.DefaultVersion, func(config *sarama.Config) { config.Producer.RequiredAcks = acks })
			cases.Equal("acknowledged", len(send(config, numbered(topic, 0, 200))), 200)
			cases.Equal("values", values(stored(config, topic, 0, 200)), cases.Numbers(200))
		})
	}
	cases.Run("keys: each in its own partition, in order", func() {
		topic := newTopic(8)
		messages := []*sarama.ProducerMessage{}
		for number := range 800 {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("key", number%40)), Value: sarama.StringEncoder(fmt.Sprint(number))})
		}
		config := configured(sarama.DefaultVersion, idempotent)
		send(config, messages)
		counts := map[int32]int{}
		for _, message := range messages {
			counts[message.Partition]++
		}
		total, homes, lasts := 0, map[string]int32{}, map[string]int{}
		for partition, count := range counts {
			for _, message := range stored(config, topic, partition, count) {
				key, number := string(message.Key), 0
				_, err := fmt.Sscan(string(message.Value), &number)
				cases.Check(err)
				if home, isKnown := homes[key]; isKnown {
					cases.Equal("next of "+key, []int{int(partition), number}, []int{int(home), lasts[key] + 40})
				}
				homes[key], lasts[key] = partition, number
				total++
			}
		}
		cases.Equal("records", total, 800)
		cases.Equal("partitions used", len(counts) > 4, true)
	})
	cases.Run("a topic that is not there, a message that is too large, offsets of a partition", func() {
		config := configured(sarama.DefaultVersion, func(config *sarama.Config) {
			config.Metadata.AllowAutoTopicCreation = false
			config.Producer.MaxMessageBytes = 100_000_000
		})
		producer, err := sarama.NewSyncProducer(brokers, config)
		cases.Check(err)
		defer producer.Close()
		_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: cases.Unique("absent"), Value: sarama.StringEncoder("x")})
		fails("absent", err, sarama.ErrUnknownTopicOrPartition)
		topic := cases.Unique("s")
		small := "1000"
		cases.Check(admin().CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: map[string]*string{"max.message.bytes": &small}}, false))
		_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, 2_000))})
		fails("too large", err, sarama.ErrMessageSizeTooLarge)
		fill(topic, 0, 7)
		client, err := sarama.NewClient(brokers, config)
		cases.Check(err)
		defer client.Close()
		for at, wanted := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 7, time.Now().Add(-time.Hour).UnixMilli(): 0} {
			offset, err := client.GetOffset(topic, 0, at)
			cases.Check(err)
			cases.Equal(fmt.Sprint("offset at ", at), offset, wanted)
		}
		consumer, err := sarama.NewConsumerFromClient(client)
		cases.Check(err)
		defer consumer.Close()
		_, err = consumer.ConsumePartition(topic, 0, 500)
		fails("out of range", err, sarama.ErrOffsetOutOfRange)
	})
	cases.Run("transactions: refused for good", func() {
		_, err := sarama.NewAsyncProducer(brokers, configured(sarama.DefaultVersion, idempotent, func(config *sarama.Config) {
			config.Producer.Transaction.ID = cases.Unique("x")
			// It tries everything again that a search for a coordinator ends with: 50 times in 5 s.
			config.Producer.Transaction.Retry.Max = 2
		}))
		fails("the producer", err, sarama.ErrTransactionalIDAuthorizationFailed)
	})
}
