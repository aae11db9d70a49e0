package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/twmb/franz-go/pkg/kgo"
	"manifold/tests/compat/cases"
)

// dial is an MQTT 5 client of Eclipse Paho; what it gets goes to the inbox.
func dial(inbox *cases.Inbox) *paho.Client {
	connection, err := net.Dial("tcp", os.Getenv("MANIFOLD_MQTT"))
	cases.Check(err)
	made := paho.NewClient(paho.ClientConfig{Conn: connection, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(received paho.PublishReceived) (bool, error) {
			packet := received.Packet
			inbox.Add(cases.Message{Topic: packet.Topic, Text: string(packet.Payload), QoS: packet.QoS, Properties: packet.Properties})
			return true, nil
		},
	}})
	_, err = made.Connect(soon(), &paho.Connect{ClientID: cases.Unique("mixed"), CleanStart: true, KeepAlive: 60})
	cases.Check(err)
	return made
}

func text(headers []kgo.RecordHeader) []string {
	texts := []string{}
	for _, header := range headers {
		texts = append(texts, header.Key+"="+string(header.Value))
	}
	return texts
}

// interop is MQTT and Kafka on one topic: docs/interop.md.
func interop() {
	cases.Run("MQTT to Kafka: name, payload, properties as headers", func() {
		level := cases.Unique("m")
		name, topic := level+"/a/b", level+".a.b"
		_, err := admin().CreateTopic(soon(), 1, -1, nil, topic)
		cases.Check(err)
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(cases.Unique("g")), kgo.ConsumeResetOffset(start()))
		defer reader.Close()
		publisher := dial(cases.NewInbox())
		defer publisher.Disconnect(&paho.Disconnect{})
		before := time.Now().UnixMilli()
		for number := range 3 {
			format := byte(1)
			expiry := uint32(600)
			_, err := publisher.Publish(soon(), &paho.Publish{Topic: name, QoS: 1, Payload: fmt.Append(nil, "hello ", number), Properties: &paho.PublishProperties{
				ContentType: "text/plain", ResponseTopic: "answers/here", CorrelationData: []byte{0, 1, 255}, PayloadFormat: &format, MessageExpiry: &expiry,
				User: paho.UserProperties{{Key: "who", Value: "me"}, {Key: "who", Value: "you"}, {Key: "mqtt.qos", Value: "7"}},
			}})
			cases.Check(err)
		}
		records := read(reader, 3)
		cases.Equal("values", values(records), []string{"hello 0", "hello 1", "hello 2"})
		record := records[0]
		cases.Equal("key, place", []any{string(record.Key), record.Partition, record.Offset}, []any{name, int32(0), int64(0)})
		cases.Equal("time", record.Timestamp.UnixMilli() >= before && record.Timestamp.UnixMilli() <= time.Now().UnixMilli(), true)
		found := map[string][]string{}
		for _, header := range record.Headers {
			found[header.Key] = append(found[header.Key], string(header.Value))
		}
		cases.Equal("headers", found, map[string][]string{
			"who": {"me", "you"}, "manifold-raw:mqtt.qos": {"7"}, "mqtt.content-type": {"text/plain"}, "mqtt.response-topic": {"answers/here"},
			"mqtt.correlation-data": {"\x00\x01\xff"}, "mqtt.payload-format": {"1"}, "mqtt.message-expiry": {"600"}, "mqtt.qos": {"1"},
		})
	})
	cases.Run("Kafka to MQTT: value, headers as properties", func() {
		level := cases.Unique("m")
		name, topic := level+"/c", level+".c"
		_, err := admin().CreateTopic(soon(), 1, -1, nil, topic)
		cases.Check(err)
		inbox := cases.NewInbox()
		subscriber := dial(inbox)
		defer subscriber.Disconnect(&paho.Disconnect{})
		_, err = subscriber.Subscribe(soon(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: level + "/#", QoS: 1}}})
		cases.Check(err)
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		records := []*kgo.Record{}
		for number := range 100 {
			records = append(records, &kgo.Record{Key: []byte(name), Value: fmt.Append(nil, number), Headers: []kgo.RecordHeader{
				{Key: "n", Value: fmt.Append(nil, number)}, {Key: "binary", Value: []byte{255, 0}},
			}})
		}
		cases.Check(producer.ProduceSync(context.Background(), records...).FirstErr())
		cases.Equal("texts", inbox.Texts(100), cases.Numbers(100))
		message := inbox.All()[42]
		cases.Equal("name, QoS", []any{message.Topic, message.QoS}, []any{name, byte(1)})
		properties := []string{}
		for _, property := range message.Properties.(*paho.PublishProperties).User {
			if property.Key != "manifold-timestamp" {
				properties = append(properties, property.Key+"="+property.Value)
			}
		}
		cases.Equal("properties", properties, []string{"n=42", "manifold-header-b64=binary=/wA="})
	})
	cases.Run("both at once on one topic: each reader has all, of each writer in order", func() {
		level := cases.Unique("m")
		name, topic := level+"/both", level+".both"
		_, err := admin().CreateTopic(soon(), 1, -1, nil, topic)
		cases.Check(err)
		inbox := cases.NewInbox()
		subscriber, publisher := dial(inbox), dial(cases.NewInbox())
		defer subscriber.Disconnect(&paho.Disconnect{})
		defer publisher.Disconnect(&paho.Disconnect{})
		_, err = subscriber.Subscribe(soon(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: name, QoS: 1}}})
		cases.Check(err)
		producer := client(kgo.DefaultProduceTopic(topic))
		defer producer.Close()
		published := make(chan error, 1)
		go func() {
			for number := range 100 {
				if _, err := publisher.Publish(soon(), &paho.Publish{Topic: name, QoS: 1, Payload: fmt.Append(nil, "m ", number)}); err != nil {
					published <- err
					return
				}
			}
			published <- nil
		}()
		for number := range 100 {
			cases.Check(producer.ProduceSync(soon(), &kgo.Record{Key: []byte(name), Value: fmt.Append(nil, "k ", number)}).FirstErr())
		}
		cases.Check(<-published)
		records := values(stored(topic, 200))
		cases.Equal("what came by MQTT is what is stored", inbox.Texts(200), records)
		for _, writer := range []string{"m ", "k "} {
			numbers := []string{}
			for _, record := range records {
				if number, isOf := strings.CutPrefix(record, writer); isOf {
					numbers = append(numbers, number)
				}
			}
			cases.Equal("in order", numbers, cases.Numbers(100))
		}
	})
}
