package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"manifold/tests/compat/cases"
)

func first(records []*kgo.Record) string { return string(records[0].Value) }

func consuming() {
	cases.Run("from the start, the end, an offset, one relative to them, a time", func() {
		topic, base := newTopic(1), time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		for number := range 10 {
			cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: fmt.Append(nil, number), Timestamp: base.Add(time.Duration(number) * time.Second)}).FirstErr())
		}
		for _, each := range []struct {
			offset kgo.Offset
			first  string
			count  int
		}{
			{start(), "0", 10},
			{kgo.NewOffset().At(4), "4", 6},
			{start().Relative(3), "3", 7},
			{kgo.NewOffset().AtEnd().Relative(-2), "8", 2},
			{kgo.NewOffset().AfterMilli(base.UnixMilli() + 4_500), "5", 5},
			{kgo.NewOffset().AfterMilli(base.UnixMilli() + 4_000), "4", 6},
			{kgo.NewOffset().AfterMilli(0), "0", 10},
		} {
			reader := client(from(topic, each.offset))
			cases.Equal("first from "+each.offset.String(), first(read(reader, each.count)), each.first)
			reader.Close()
		}
		for _, offset := range []kgo.Offset{kgo.NewOffset().AtEnd(), kgo.NewOffset().AfterMilli(time.Now().Add(time.Hour).UnixMilli())} {
			reader := client(from(topic, offset))
			quiet(reader)
			cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: []byte("new")}).FirstErr())
			cases.Equal("values from "+offset.String(), values(read(reader, 1)), []string{"new"})
			reader.Close()
		}
	})
	cases.Run("a time within a batch", func() {
		topic, base := newTopic(1), time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
		producer := client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(20*time.Millisecond))
		defer producer.Close()
		records := numbered(topic, 100)
		for number, record := range records {
			record.Timestamp = base.Add(time.Duration(number) * time.Minute / 2)
		}
		send(producer, records)
		reader := client(from(topic, kgo.NewOffset().AfterMilli(base.Add(time.Minute*20).UnixMilli())))
		defer reader.Close()
		cases.Equal("first", first(read(reader, 60)), "40")
	})
	cases.Run("fetch sessions: what stays the same is not asked for again, while metadata is", func() {
		const partitions = 80
		topic := newTopic(partitions)
		fetched := func(options ...kgo.Opt) int {
			noted := noted()
			reader := client(append(options, kgo.WithHooks(noted), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()))...)
			defer reader.Close()
			// One that is changed among many that are not: its record comes, again and again.
			for number := range 5 {
				fill(topic, 7, number, 1)
				read(reader, 1)
			}
			quiet(reader)
			return noted.lastBytes(int16(kmsg.Fetch))
		}
		with := fetched()
		if with == 0 || with > 300 {
			cases.Fail("bytes of a request in a session: %d", with)
		}
		_, err := admin().DeleteRecords(soon(), offsetsOf(topic, 7, -1, ""))
		cases.Check(err)
		without := fetched(kgo.DisableFetchSessions())
		if without < partitions*20 {
			cases.Fail("bytes of a request without sessions: %d", without)
		}
	})
	cases.Run("by a regular expression, with topics that come", func() {
		prefix := cases.Unique("pattern")
		make := func(name string) {
			_, err := admin().CreateTopic(soon(), 1, -1, nil, name)
			cases.Check(err)
			fill(name, 0, 0, 3)
		}
		make(prefix + ".a")
		make(prefix + "-no")
		reader := client(kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+prefix+`\..*`), kgo.ConsumeResetOffset(start()))
		defer reader.Close()
		cases.Equal("topic", read(reader, 3)[0].Topic, prefix+".a")
		make(prefix + ".b")
		cases.Equal("topic", read(reader, 3)[0].Topic, prefix+".b")
		quiet(reader)
	})
	cases.Run("pause and resume", func() {
		topic := newTopic(2)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()))
		defer reader.Close()
		fill(topic, 0, 0, 5)
		fill(topic, 1, 0, 5)
		read(reader, 10)
		reader.PauseFetchPartitions(map[string][]int32{topic: {0}})
		fill(topic, 0, 5, 5)
		fill(topic, 1, 5, 5)
		for _, record := range read(reader, 5) {
			cases.Equal("partition", record.Partition, int32(1))
		}
		quiet(reader)
		reader.ResumeFetchPartitions(map[string][]int32{topic: {0}})
		cases.Equal("values", values(read(reader, 5)), []string{"5", "6", "7", "8", "9"})
		reader.PauseFetchTopics(topic)
		fill(topic, 0, 10, 1)
		quiet(reader)
		reader.ResumeFetchTopics(topic)
		cases.Equal("values", values(read(reader, 1)), []string{"10"})
	})
	cases.Run("seek back and forth", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 100)
		reader := client(from(topic, start()))
		defer reader.Close()
		read(reader, 100)
		for _, offset := range []int64{40, 99, 0} {
			epoch := int32(0)
			if offset == 40 {
				epoch = -1
			}
			reader.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {0: {Epoch: epoch, Offset: offset}}})
			cases.Equal("first", first(read(reader, 100-int(offset))), fmt.Sprint(offset))
		}
	})
	cases.Run("an offset that is gone: an error, or on from what is left", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 20)
		var until kadm.Offsets
		until.AddOffset(topic, 0, 5, -1)
		deleted, err := admin().DeleteRecords(soon(), until)
		cases.Check(err)
		low, _ := deleted.Lookup(topic, 0)
		cases.Equal("low watermark", []any{low.LowWatermark, low.Err}, []any{int64(5), nil})
		for _, offset := range []int64{2, 1_000} {
			strict := client(from(topic, kgo.NewOffset().At(offset)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
			fails(fmt.Sprint("at ", offset), strict.PollFetches(soon()).Err(), kerr.OffsetOutOfRange)
			strict.Close()
		}
		lax := client(from(topic, kgo.NewOffset().At(2)), kgo.ConsumeResetOffset(start()))
		defer lax.Close()
		cases.Equal("first", first(read(lax, 15)), "5")
	})
	cases.Run("bounds: a batch comes whole however little is asked for; many small ones one after the other", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 300)
		reader := client(from(topic, start()), kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1))
		defer reader.Close()
		cases.Equal("values", values(read(reader, 300)), cases.Numbers(300))
		for number := 300; number < 310; number++ {
			fill(topic, 0, number, 1)
		}
		cases.Equal("first", first(read(reader, 10)), "300")
	})
	cases.Run("a waiting fetch is answered by what is produced, and waits for enough", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 1)
		reader := client(from(topic, start()), kgo.FetchMaxWait(8*time.Second))
		defer reader.Close()
		read(reader, 1)
		time.Sleep(300 * time.Millisecond)
		began := time.Now()
		fill(topic, 0, 1, 1)
		read(reader, 1)
		cases.Equal("soon", time.Since(began) < 2*time.Second, true)
		patient := client(from(topic, kgo.NewOffset().At(2)), kgo.FetchMaxWait(8*time.Second), kgo.FetchMinBytes(2_000))
		defer patient.Close()
		time.Sleep(300 * time.Millisecond)
		fill(topic, 0, 2, 1)
		quiet(patient)
		began = time.Now()
		producer := client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer producer.Close()
		cases.Check(producer.ProduceSync(soon(), &kgo.Record{Value: cases.Bytes(3_000)}).FirstErr())
		read(patient, 2)
		cases.Equal("soon", time.Since(began) < 2*time.Second, true)
	})
	cases.Run("read committed without transactions is everything", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 30)
		reader := client(from(topic, start()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		defer reader.Close()
		cases.Equal("values", values(read(reader, 30)), cases.Numbers(30))
	})
	cases.Run("a topic that is deleted and made anew under its name is told by its id; added again it is read", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 50)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start()), kgo.KeepRetryableFetchErrors())
		defer reader.Close()
		read(reader, 50)
		_, err := admin().DeleteTopic(soon(), topic)
		cases.Check(err)
		_, err = admin().CreateTopic(soon(), 1, -1, nil, topic)
		cases.Check(err)
		fill(topic, 0, 100, 5)
		// It never takes a new id for an old name by itself. While the former one was gone it may have been told so.
		until("what is told is that the id is gone", func() bool { return errors.Is(reader.PollFetches(soon()).Err(), kerr.UnknownTopicID) })
		reader.PurgeTopicsFromConsuming(topic)
		reader.AddConsumeTopics(topic)
		records := []*kgo.Record{}
		context := soon()
		for len(records) < 5 && context.Err() == nil {
			records = append(records, reader.PollFetches(context).Records()...)
		}
		cases.Equal("values", values(records), []string{"100", "101", "102", "103", "104"})
		cases.Equal("offset", records[0].Offset, int64(0))
	})
	cases.Run("leader epochs: what was read is known by its epoch", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 10)
		epoch := stored(topic, 10)[9].LeaderEpoch
		var asked kadm.OffsetForLeaderEpochRequest
		asked.Add(topic, 0, epoch)
		answered, err := admin().OffsetForLeaderEpoch(soon(), asked)
		cases.Check(err)
		found := answered[topic][0]
		cases.Equal("end", []any{found.LeaderEpoch, found.EndOffset, found.Err}, []any{epoch, int64(10), nil})
		reader := client(from(topic, kgo.NewOffset().At(7).WithEpoch(epoch)))
		defer reader.Close()
		cases.Equal("values", values(read(reader, 3)), []string{"7", "8", "9"})
	})
}
