package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// send produces in the background, and gives what came of each record, in the order of their promises.
func send(producer *kgo.Client, records []*kgo.Record) []*kgo.Record {
	var mutex sync.Mutex
	var sent []*kgo.Record
	var failed error
	for _, record := range records {
		producer.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			sent = append(sent, record)
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	cases.Check(producer.Flush(soon()))
	cases.Check(failed)
	cases.Equal("promises", len(sent), len(records))
	return sent
}

func numbered(topic string, count int) []*kgo.Record {
	records := []*kgo.Record{}
	for _, text := range cases.Numbers(count) {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(text)})
	}
	return records
}

// batches notes the batches that a producer has written.
type batches struct {
	mutex   sync.Mutex
	largest kgo.ProduceBatchMetrics
	count   int
}

func (batches *batches) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, of kgo.ProduceBatchMetrics) {
	batches.mutex.Lock()
	defer batches.mutex.Unlock()
	batches.count++
	if of.CompressedBytes > batches.largest.CompressedBytes {
		batches.largest = of
	}
}

func producing() {
	cases.Run("versions: the newest of both, found by ApiVersions", func() {
		noted, topic := noted(), newTopic(1)
		all := client(kgo.WithLogger(noted), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(cases.Unique("g")),
			kgo.ConsumeResetOffset(start()), kgo.HeartbeatInterval(100*time.Millisecond), kgo.DisableAutoCommit())
		cases.Check(all.ProduceSync(soon(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr())
		read(all, 1)
		cases.Check(all.CommitUncommittedOffsets(soon()))
		until("a heartbeat", func() bool { return noted.seen()["Heartbeat"] != "" })
		all.Close()
		cases.Equal("versions", noted.seen(), map[string]string{
			"ApiVersions": "v4", "Metadata": "v13", "FindCoordinator": "v6", "InitProducerID": "v5", "Produce": "v13",
			"ListOffsets": "v11", "Fetch": "v18", "JoinGroup": "v9", "SyncGroup": "v5", "Heartbeat": "v4",
			"OffsetFetch": "v10", "OffsetCommit": "v10", "LeaveGroup": "v5",
		})
	})
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for number, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		cases.Run("idempotent, "+name+": stored as sent, in order", func() {
			topic, noted := newTopic(1), &batches{}
			producer := client(kgo.ProducerBatchCompression(codecs[number]), kgo.DefaultProduceTopic(topic), kgo.WithHooks(noted))
			defer producer.Close()
			records := []*kgo.Record{}
			for index := range 5_000 {
				value := fmt.Appendf(nil, "%d %s", index, bytes.Repeat([]byte("ab"), index%50))
				records = append(records, &kgo.Record{Key: fmt.Append(nil, index%7), Value: value})
			}
			for index, sent := range send(producer, records) {
				cases.Equal("offset", sent.Offset, int64(index))
			}
			for index, record := range stored(topic, len(records)) {
				cases.Equal("codec", record.Attrs.CompressionType(), uint8(number))
				cases.Equal("place", record.Offset, int64(index))
				cases.Equal("key", string(record.Key), fmt.Sprint(index%7))
				cases.Equal("value", string(record.Value), string(records[index].Value))
			}
			cases.Equal("codec of the largest batch", noted.largest.CompressionType, uint8(number))
			cases.Equal("records in the largest batch", noted.largest.NumRecords > 100, true)
		})
	}
	cases.Run("null and empty keys and values, headers, times", func() {
		topic, now := newTopic(1), time.UnixMilli(time.Now().Add(-time.Minute).UnixMilli())
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		headers := []kgo.RecordHeader{{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: []byte{}}, {Key: "", Value: []byte("x")}}
		cases.Check(producer.ProduceSync(soon(),
			&kgo.Record{Value: []byte("v"), Headers: headers, Timestamp: now},
			&kgo.Record{Key: []byte("k"), Timestamp: now.Add(time.Second)},
			&kgo.Record{Key: []byte{}, Value: []byte{}, Timestamp: now.Add(-time.Second)},
			&kgo.Record{}).FirstErr())
		records := stored(topic, 4)
		cases.Equal("headers", records[0].Headers, headers)
		cases.Equal("keys", [][]byte{records[0].Key, records[1].Key, records[2].Key, records[3].Key}, [][]byte{nil, []byte("k"), {}, nil})
		cases.Equal("values", [][]byte{records[0].Value, records[1].Value, records[2].Value, records[3].Value}, [][]byte{[]byte("v"), nil, {}, nil})
		for index, after := range []time.Duration{0, time.Second, -time.Second} {
			cases.Equal("time", records[index].Timestamp.UnixMilli(), now.Add(after).UnixMilli())
		}
	})
	cases.Run("message.timestamp.type=LogAppendTime: the broker's time", func() {
		topic, began := newTopic(1, "message.timestamp.type", "LogAppendTime"), time.Now()
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: []byte("x"), Timestamp: time.UnixMilli(1_000)}).FirstErr())
		record := stored(topic, 1)[0]
		cases.Equal("not before", record.Timestamp.UnixMilli() >= began.UnixMilli(), true)
		cases.Equal("type", record.Attrs.TimestampType(), int8(1))
	})
	cases.Run("batches of a megabyte", func() {
		topic, noted := newTopic(1), &batches{}
		producer := client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.WithHooks(noted),
			kgo.ProducerLinger(50*time.Millisecond))
		defer producer.Close()
		chance := rand.NewChaCha8([32]byte{1})
		records := []*kgo.Record{}
		for range 300 {
			value := make([]byte, 30_000)
			chance.Read(value)
			records = append(records, &kgo.Record{Value: value})
		}
		send(producer, records)
		cases.Equal("bytes of the largest batch", noted.largest.CompressedBytes > 900_000, true)
		for index, record := range stored(topic, len(records)) {
			cases.Equal("same bytes", bytes.Equal(record.Value, records[index].Value), true)
		}
	})
	cases.Run("what is larger than the topic takes is refused, and what follows is not", func() {
		topic := newTopic(1, "max.message.bytes", "20000")
		producer := client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer producer.Close()
		_, err := producer.ProduceSync(soon(), &kgo.Record{Value: cases.Bytes(30_000)}).First()
		fails("30,000 bytes", err, kerr.MessageTooLarge)
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: []byte("after")}).FirstErr())
		cases.Equal("values", values(stored(topic, 1)), []string{"after"})
	})
	cases.Run("many partitions: each key in its own, in order", func() {
		const partitions, keys, count = 50, 200, 10_000
		topic := newTopic(partitions)
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		records := []*kgo.Record{}
		for index := range count {
			records = append(records, &kgo.Record{Key: fmt.Append(nil, "key-", index%keys), Value: fmt.Append(nil, index)})
		}
		send(producer, records)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()))
		defer reader.Close()
		homes, lasts, used := map[string]int32{}, map[string]int{}, map[int32]bool{}
		for _, record := range read(reader, count) {
			key, number := string(record.Key), 0
			_, err := fmt.Sscan(string(record.Value), &number)
			cases.Check(err)
			if home, isKnown := homes[key]; isKnown {
				cases.Equal("partition of "+key, record.Partition, home)
				cases.Equal("next of "+key, number, lasts[key]+keys)
			}
			homes[key], lasts[key], used[record.Partition] = record.Partition, number, true
		}
		cases.Equal("keys", len(homes), keys)
		cases.Equal("partitions used", len(used) > partitions*3/4, true)
		listed, err := admin().ListEndOffsets(soon(), topic)
		cases.Check(err)
		total := int64(0)
		listed.Each(func(one kadm.ListedOffset) { total += one.Offset })
		cases.Equal("all end offsets", total, int64(count))
	})
	cases.Run("a partition chosen by hand; one that is not there", func() {
		topic := newTopic(3)
		producer := client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer producer.Close()
		for partition := range int32(3) {
			sent, err := producer.ProduceSync(soon(), &kgo.Record{Partition: partition, Value: fmt.Append(nil, partition)}).First()
			cases.Check(err)
			cases.Equal("place", []int64{int64(sent.Partition), sent.Offset}, []int64{int64(partition), 0})
		}
		cases.Equal("an absent one fails", producer.ProduceSync(soon(), &kgo.Record{Partition: 3}).FirstErr() != nil, true)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()))
		defer reader.Close()
		for _, record := range read(reader, 3) {
			cases.Equal("value", string(record.Value), fmt.Sprint(record.Partition))
		}
	})
	cases.Run("five requests in flight keep their order", func() {
		const count = 6_000
		topic, noted := newTopic(1), &batches{}
		// Small batches, so that many are on their way at once.
		producer := client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(512), kgo.ProducerLinger(0),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.WithHooks(noted))
		defer producer.Close()
		for index, sent := range send(producer, numbered(topic, count)) {
			cases.Equal("promise", []string{string(sent.Value), fmt.Sprint(sent.Offset)}, []string{fmt.Sprint(index), fmt.Sprint(index)})
		}
		cases.Equal("values", values(stored(topic, count)), cases.Numbers(count))
		cases.Equal("batches", noted.count >= 100, true)
	})
	for name, acks := range map[string]kgo.Acks{"one": kgo.LeaderAck(), "none": kgo.NoAck()} {
		cases.Run("acks "+name+", not idempotent", func() {
			topic := newTopic(1)
			producer := client(kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
			defer producer.Close()
			send(producer, numbered(topic, 500))
			cases.Equal("values", values(stored(topic, 500)), cases.Numbers(500))
		})
	}
	cases.Run("each producer has an id of its own, and the broker tells who writes", func() {
		topic := newTopic(1)
		ids := map[int64]bool{}
		for range 3 {
			producer := client(kgo.DefaultProduceTopic(topic))
			send(producer, numbered(topic, 4))
			id, epoch, err := producer.ProducerID(soon())
			cases.Check(err)
			cases.Equal("epoch", epoch, int16(0))
			ids[id] = true
			producer.Close()
		}
		cases.Equal("ids", len(ids), 3)
		described, err := admin().DescribeProducers(soon(), kadm.TopicsSet{topic: {0: {}}})
		cases.Check(err)
		found := described.SortedProducers()
		cases.Equal("producers", len(found), 3)
		for _, one := range found {
			cases.Equal("known", ids[one.ProducerID], true)
			cases.Equal("last sequence", one.LastSequence, int32(3))
		}
	})
	cases.Run("a topic that is not there: an error, or made by use where the client allows it", func() {
		name := cases.Unique("absent")
		strict := client(kgo.UnknownTopicRetries(1))
		defer strict.Close()
		fails("without", strict.ProduceSync(soon(), &kgo.Record{Topic: name}).FirstErr(), kerr.UnknownTopicOrPartition)
		lax := client(kgo.AllowAutoTopicCreation())
		defer lax.Close()
		cases.Check(lax.ProduceSync(soon(), &kgo.Record{Topic: name, Value: []byte("x")}).FirstErr())
		cases.Equal("values", values(stored(name, 1)), []string{"x"})
	})
	cases.Run("a compacted topic takes no record without a key", func() {
		topic := newTopic(1, "cleanup.policy", "compact")
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		fails("no key", producer.ProduceSync(soon(), &kgo.Record{Value: []byte("x")}).FirstErr(), kerr.InvalidRecord)
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Key: []byte("k"), Value: []byte("x")}).FirstErr())
		cases.Equal("values", values(stored(topic, 1)), []string{"x"})
	})
	transactions()
}
