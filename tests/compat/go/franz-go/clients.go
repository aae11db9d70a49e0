package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// Longer than anything here takes, shorter than a case may.
const patience = 9 * time.Second

func soon() context.Context {
	ended, cancel := context.WithTimeout(context.Background(), patience)
	time.AfterFunc(patience, cancel)
	return ended
}

// client is one of kgo as it comes, but for how often it may ask for metadata, and how long a fetch waits, 5 s else: cases look for what
// has just been made, and a fetch that waits is not broken off for partitions that come.
func client(options ...kgo.Opt) *kgo.Client {
	all := append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("MANIFOLD_KAFKA"), ",")...),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(500 * time.Millisecond),
		kgo.FetchMaxWait(300 * time.Millisecond),
	}, options...)
	made, err := kgo.NewClient(all...)
	cases.Check(err)
	return made
}

var admin = sync.OnceValue(func() *kadm.Client { return kadm.NewClient(client()) })

// newTopic makes a topic; configs are pairs of name and value.
func newTopic(partitions int32, configs ...string) string {
	name := cases.Unique("t")
	made := map[string]*string{}
	for index := 0; index < len(configs); index += 2 {
		made[configs[index]] = &configs[index+1]
	}
	_, err := admin().CreateTopic(soon(), partitions, -1, made, name)
	cases.Check(err)
	return name
}

// from is partition 0 of the topic from there on.
func from(topic string, offset kgo.Offset) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: offset}})
}

func start() kgo.Offset { return kgo.NewOffset().AtStart() }

// read polls until there are so many records, which come in the order of each partition; more are a fault.
func read(client *kgo.Client, count int) []*kgo.Record {
	records := []*kgo.Record{}
	context := soon()
	for len(records) < count {
		fetches := client.PollFetches(context)
		if err := fetches.Err(); err != nil {
			cases.Fail("%d of %d records, then %v", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	cases.Equal("records", len(records), count)
	return records
}

// stored is what partition 0 of a topic has, of so many records.
func stored(topic string, count int) []*kgo.Record {
	reader := client(from(topic, start()))
	defer reader.Close()
	return read(reader, count)
}

// quiet ends the case where another record comes within a while.
func quiet(client *kgo.Client) {
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	cases.Equal("further records", client.PollFetches(short).NumRecords(), 0)
}

func values(records []*kgo.Record) []string {
	texts := []string{}
	for _, record := range records {
		texts = append(texts, string(record.Value))
	}
	return texts
}

// fill produces the numbers from first on as values to one partition, and waits for them.
func fill(topic string, partition int32, first, count int) {
	producer := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	records := []*kgo.Record{}
	for number := first; number < first+count; number++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Append(nil, number)})
	}
	cases.Check(producer.ProduceSync(soon(), records...).FirstErr())
}

// fails ends the case unless err is, or wraps, the wanted one.
func fails(what string, err, wanted error) {
	if !errors.Is(err, wanted) {
		cases.Fail("%s: got %v, wanted %v", what, err, wanted)
	}
}

// until waits for what has to become so.
func until(what string, isSo func() bool) {
	for end := time.Now().Add(patience); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			cases.Fail("waited in vain for: %s", what)
		}
	}
}

// requests notes what a client writes: its versions, and the bytes of the last request of a kind.
type requests struct {
	mutex    sync.Mutex
	versions map[string]string
	bytes    map[int16]int
}

func noted() *requests { return &requests{versions: map[string]string{}, bytes: map[int16]int{}} }

func (noted *requests) Level() kgo.LogLevel { return kgo.LogLevelDebug }

// Log is what kgo tells of each request that it has written: "wrote Produce v13".
func (noted *requests) Log(_ kgo.LogLevel, message string, _ ...any) {
	if words := strings.Split(message, " "); len(words) == 3 && words[0] == "wrote" {
		noted.mutex.Lock()
		defer noted.mutex.Unlock()
		noted.versions[words[1]] = words[2]
	}
}

func (noted *requests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, bytes int, _, _ time.Duration, _ error) {
	noted.mutex.Lock()
	defer noted.mutex.Unlock()
	noted.bytes[key] = bytes
}

func (noted *requests) lastBytes(key int16) int {
	noted.mutex.Lock()
	defer noted.mutex.Unlock()
	return noted.bytes[key]
}

func (noted *requests) seen() map[string]string {
	noted.mutex.Lock()
	defer noted.mutex.Unlock()
	seen := map[string]string{}
	for name, version := range noted.versions {
		seen[name] = version
	}
	return seen
}
