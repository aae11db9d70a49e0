package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"manifold/tests/compat/cases"
)

// A refusal that takes longer than this is none: the client tries again and again.
const prompt = 2 * time.Second

func promptly(what string, body func()) {
	began := time.Now()
	body()
	if took := time.Since(began); took > prompt {
		cases.Fail("%s: took %v", what, took)
	}
}

// unknown ends the case unless the client says that the broker has no such request.
func unknown(what string, err error) {
	if err == nil || !strings.Contains(err.Error(), "request key") && !strings.Contains(err.Error(), "broker is too old") {
		cases.Fail("%s: got %v, wanted that the broker does not have it", what, err)
	}
}

// transactions are not there, and a producer that wants them is told so at once, for good.
func transactions() {
	cases.Run("transactions: refused at once, and for good", func() {
		topic := newTopic(1)
		producer := client(kgo.TransactionalID(cases.Unique("x")), kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		promptly("the id of the producer", func() {
			_, _, err := producer.ProducerID(soon())
			fails("the id of the producer", err, kerr.TransactionalIDAuthorizationFailed)
		})
		promptly("a record", func() {
			if producer.BeginTransaction() != nil {
				return
			}
			fails("a record", producer.ProduceSync(soon(), &kgo.Record{Value: []byte("x")}).FirstErr(), kerr.TransactionalIDAuthorizationFailed)
			cases.Equal("an end fails", producer.EndTransaction(soon(), kgo.TryAbort) != nil, true)
		})
		listed, err := admin().ListEndOffsets(soon(), topic)
		cases.Check(err)
		end, _ := listed.Lookup(topic, 0)
		cases.Equal("end offset", end.Offset, int64(0))
	})
	cases.Run("transactions: listed and described as not there", func() {
		_, err := admin().ListTransactions(soon(), nil, nil)
		unknown("list", err)
		promptly("describe", func() {
			described, err := admin().DescribeTransactions(soon(), "x")
			if err == nil {
				_, err = described.On("x", func(one *kadm.DescribedTransaction) error { return one.Err })
			}
			cases.Equal("an error", err != nil, true)
		})
	})
}

// laterGroups are those of KIP-848 and of KIP-932, which this broker does not advertise.
func laterGroups() {
	cases.Run("ServerSideBalancer: the classic protocol where the broker has no other", func() {
		topic, group := newTopic(2), cases.Unique("g")
		fill(topic, 0, 0, 10)
		fill(topic, 1, 10, 10)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(start()),
			kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
		defer reader.Close()
		read(reader, 20)
		described, err := admin().DescribeGroups(soon(), group)
		cases.Check(err)
		cases.Equal("group", []string{described[group].State, described[group].ProtocolType, described[group].Protocol}, []string{"Stable", "consumer", "range"})
	})
	cases.Run("requests of KIP-848 and KIP-932: the client says that the broker has none", func() {
		asker := client()
		defer asker.Close()
		cases.Check(asker.Ping(soon()))
		for _, request := range []kmsg.Request{
			kmsg.NewPtrConsumerGroupHeartbeatRequest(), kmsg.NewPtrConsumerGroupDescribeRequest(),
			kmsg.NewPtrShareGroupHeartbeatRequest(), kmsg.NewPtrShareGroupDescribeRequest(),
		} {
			promptly(kmsg.NameForKey(request.Key()), func() {
				_, err := asker.SeedBrokers()[0].Request(soon(), request)
				unknown(kmsg.NameForKey(request.Key()), err)
			})
		}
	})
	cases.Run("a share group: an error, no waiting in silence", func() {
		topic := newTopic(1)
		fill(topic, 0, 0, 1)
		reader := client(kgo.ConsumeTopics(topic), kgo.ShareGroup(cases.Unique("s")))
		defer reader.Close()
		short, cancel := context.WithTimeout(context.Background(), prompt)
		defer cancel()
		err := reader.PollFetches(short).Err()
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			cases.Fail("a share group: got %v, wanted that it is not there", err)
		}
	})
}
