// The Eclipse Paho client for Go, MQTT 5.0: paho over TCP, and autopaho over WebSocket and over lost connections.
package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"manifold/tests/compat/cases"
)

const patience = 8 * time.Second

func soon() context.Context {
	ended, cancel := context.WithTimeout(context.Background(), patience)
	time.AfterFunc(patience, cancel)
	return ended
}

func pointer[T any](value T) *T { return &value }

// What both packages have.
type speaker interface {
	Subscribe(context.Context, *paho.Subscribe) (*paho.Suback, error)
	Unsubscribe(context.Context, *paho.Unsubscribe) (*paho.Unsuback, error)
	Publish(context.Context, *paho.Publish) (*paho.PublishResponse, error)
}

type client struct {
	speaker
	inbox *cases.Inbox
	// Reason Codes of the server's DISCONNECT packets.
	told    chan byte
	connack *paho.Connack
	cut     func()
	close   func()
}

func made() *client {
	return &client{inbox: cases.NewInbox(), told: make(chan byte, 4)}
}

func (client *client) config() paho.ClientConfig {
	return paho.ClientConfig{
		PacketTimeout:      patience,
		OnServerDisconnect: func(packet *paho.Disconnect) { client.told <- packet.ReasonCode },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(received paho.PublishReceived) (bool, error) {
			packet := received.Packet
			client.inbox.Add(cases.Message{
				Topic: packet.Topic, Text: string(packet.Payload), QoS: packet.QoS,
				Retained: packet.Retain, Duplicate: packet.Duplicate(), Properties: packet.Properties,
			})
			return true, nil
		}},
	}
}

// One connection, by paho.
func dial(address string, connect *paho.Connect) *client {
	made := made()
	connection, err := net.Dial("tcp", address)
	cases.Check(err)
	config := made.config()
	config.Conn = connection
	raw := paho.NewClient(config)
	if connect.ClientID == "" {
		connect.ClientID = cases.Unique("go5")
	}
	if connect.KeepAlive == 0 {
		connect.KeepAlive = 60
	}
	made.connack, err = raw.Connect(soon(), connect)
	cases.Check(err)
	made.speaker = raw
	made.cut = func() { cases.Check(connection.(*net.TCPConn).SetLinger(0)); cases.Check(connection.Close()) }
	made.close = func() { cases.Check(raw.Disconnect(&paho.Disconnect{})) }
	return made
}

// A connection that autopaho looks after.
func managed(address string, change func(*autopaho.ClientConfig)) *client {
	made := made()
	server, err := url.Parse(address)
	cases.Check(err)
	config := autopaho.ClientConfig{
		ServerUrls: []*url.URL{server}, KeepAlive: 60, CleanStartOnInitialConnection: true, SessionExpiryInterval: 60,
		ReconnectBackoff: func(int) time.Duration { return 50 * time.Millisecond }, ConnectTimeout: patience,
		ClientConfig: made.config(),
	}
	config.ClientID = cases.Unique("auto")
	if change != nil {
		change(&config)
	}
	manager, err := autopaho.NewConnection(context.Background(), config)
	cases.Check(err)
	cases.Check(manager.AwaitConnection(soon()))
	made.speaker = manager
	made.cut = manager.TerminateConnectionForTest
	made.close = func() { cases.Check(manager.Disconnect(soon())) }
	return made
}

func (client *client) subscribe(properties *paho.SubscribeProperties, options ...paho.SubscribeOptions) {
	suback, err := client.Subscribe(soon(), &paho.Subscribe{Subscriptions: options, Properties: properties})
	cases.Check(err)
	for index, code := range suback.Reasons {
		cases.Equal("granted QoS", code, options[index].QoS)
	}
}

func (client *client) publish(packet *paho.Publish) {
	_, err := client.Publish(soon(), packet)
	cases.Check(err)
}

func text(topic string, qos byte, payload string) *paho.Publish {
	return &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload)}
}

func main() {
	address := os.Getenv("MANIFOLD_MQTT")
	open := func() *client { return dial(address, &paho.Connect{CleanStart: true}) }
	all("5 over tcp", open)
	if other := os.Getenv("MANIFOLD_WEBSOCKET"); other != "" {
		all("5 over websocket", func() *client { return managed("ws://"+other+"/mqtt", nil) })
	}
	sessions(address, open)
	properties(address, open)
	reconnecting(address)
	cases.Done()
}

func all(label string, open func() *client) {
	cases.Run(label+": publish and subscribe at each QoS", func() {
		client, level := open(), cases.Unique("t")
		for qos := range byte(3) {
			topic := fmt.Sprintf("%s/%d/x", level, qos)
			client.subscribe(nil, paho.SubscribeOptions{Topic: fmt.Sprintf("%s/%d/+", level, qos), QoS: qos})
			client.publish(text(topic, qos, "hello"))
			message := client.inbox.Await(int(qos) + 1)[qos]
			cases.Equal("topic", message.Topic, topic)
			cases.Equal("QoS, retained, duplicate", []any{message.QoS, message.Retained, message.Duplicate}, []any{qos, false, false})
		}
		client.close()
	})

	cases.Run(label+": retained messages", func() {
		client, topic := open(), cases.Unique("r")+"/r"
		for _, payload := range []string{"one", "two"} {
			client.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte(payload)})
		}
		reader := open()
		reader.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 1})
		cases.Equal("text", reader.inbox.Texts(1), []string{"two"})
		cases.Equal("retained", reader.inbox.All()[0].Retained, true)
		client.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true})
		late := open()
		late.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 1})
		time.Sleep(100 * time.Millisecond)
		cases.Equal("messages after it was cleared", len(late.inbox.All()), 0)
		client.close()
		reader.close()
		late.close()
	})

	cases.Run(label+": 1,000 messages at QoS 2 from ten at a time", func() {
		publisher, subscriber, topic := open(), open(), cases.Unique("p")+"/p"
		subscriber.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		var group sync.WaitGroup
		failures := make(chan error, 1_000)
		for worker := range 10 {
			group.Add(1)
			go func() {
				defer group.Done()
				for index := range 100 {
					_, err := publisher.Publish(soon(), text(topic, 2, fmt.Sprint(worker*100+index)))
					failures <- err
				}
			}()
		}
		group.Wait()
		for range 1_000 {
			cases.Check(<-failures)
		}
		seen := map[string]int{}
		for _, each := range subscriber.inbox.Texts(1_000) {
			seen[each]++
		}
		cases.Equal("different messages", len(seen), 1_000)
		publisher.close()
		subscriber.close()
	})

	cases.Run(label+": 200 KiB of any bytes, unsubscribe", func() {
		client, topic := open(), cases.Unique("b")+"/b"
		client.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 1})
		client.publish(&paho.Publish{Topic: topic, QoS: 1, Payload: cases.Bytes(204_800)})
		cases.Equal("equal", client.inbox.Texts(1)[0] == string(cases.Bytes(204_800)), true)
		unsuback, err := client.Unsubscribe(soon(), &paho.Unsubscribe{Topics: []string{topic}})
		cases.Check(err)
		cases.Equal("codes", unsuback.Reasons, []byte{0})
		client.publish(text(topic, 2, "late"))
		time.Sleep(50 * time.Millisecond)
		cases.Equal("messages", len(client.inbox.All()), 1)
		client.close()
	})

	cases.Run(label+": a shared subscription divides messages", func() {
		one, other, topic := open(), open(), cases.Unique("g")+"/g"
		filter := "$share/" + cases.Unique("group") + "/" + topic
		one.subscribe(nil, paho.SubscribeOptions{Topic: filter, QoS: 1})
		other.subscribe(nil, paho.SubscribeOptions{Topic: filter, QoS: 1})
		publisher := open()
		for _, payload := range cases.Numbers(40) {
			publisher.publish(text(topic, 1, payload))
		}
		end := time.Now().Add(patience)
		for len(one.inbox.All())+len(other.inbox.All()) < 40 && time.Now().Before(end) {
			time.Sleep(10 * time.Millisecond)
		}
		cases.Equal("messages", len(one.inbox.All())+len(other.inbox.All()), 40)
		cases.Equal("both have some", len(one.inbox.All()) > 0 && len(other.inbox.All()) > 0, true)
		one.close()
		other.close()
		publisher.close()
	})
}

func sessions(address string, open func() *client) {
	kept := func(name string, clean bool) *paho.Connect {
		return &paho.Connect{
			ClientID: name, CleanStart: clean,
			Properties: &paho.ConnectProperties{SessionExpiryInterval: pointer(uint32(100))},
		}
	}

	cases.Run("a kept session gets what came meanwhile, in order", func() {
		name, topic := cases.Unique("kept"), cases.Unique("s")+"/s"
		first := dial(address, kept(name, true))
		cases.Equal("session present", first.connack.SessionPresent, false)
		first.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		first.close()
		publisher := open()
		for _, payload := range cases.Numbers(50) {
			publisher.publish(text(topic, 2, payload))
		}
		second := dial(address, kept(name, false))
		cases.Equal("session present", second.connack.SessionPresent, true)
		cases.Equal("texts", second.inbox.Texts(50), cases.Numbers(50))
		publisher.close()
		second.close()
	})

	cases.Run("a Receive Maximum of 3 is kept, and everything comes", func() {
		topic := cases.Unique("m") + "/m"
		connect := &paho.Connect{CleanStart: true, Properties: &paho.ConnectProperties{ReceiveMaximum: pointer(uint16(3))}}
		narrow, publisher := dial(address, connect), open()
		narrow.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		for _, payload := range cases.Numbers(100) {
			publisher.publish(text(topic, 2, payload))
		}
		cases.Equal("texts", narrow.inbox.Texts(100), cases.Numbers(100))
		narrow.close()
		publisher.close()
	})

	cases.Run("the will of a broken connection, with its properties", func() {
		topic, watcher := cases.Unique("w")+"/w", open()
		watcher.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		dying := dial(address, &paho.Connect{
			CleanStart:  true,
			WillMessage: &paho.WillMessage{Topic: topic, Payload: []byte("gone"), QoS: 1},
			// The library does not write the content type of a will, nor its response topic, correlation data, format and expiry.
			WillProperties: &paho.WillProperties{User: paho.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}},
		})
		dying.cut()
		cases.Equal("texts", watcher.inbox.Texts(1), []string{"gone"})
		found := watcher.inbox.All()[0].Properties.(*paho.PublishProperties)
		cases.Equal("user properties", found.User, paho.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}})
		watcher.close()
	})

	cases.Run("a will that waits is not sent for who is back", func() {
		name, topic, watcher := cases.Unique("back"), cases.Unique("w")+"/w", open()
		watcher.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		connect := kept(name, true)
		connect.WillMessage = &paho.WillMessage{Topic: topic, Payload: []byte("gone"), QoS: 1}
		connect.WillProperties = &paho.WillProperties{WillDelayInterval: pointer(uint32(1))}
		dial(address, connect).cut()
		back := dial(address, kept(name, false))
		time.Sleep(1_500 * time.Millisecond)
		cases.Equal("messages", len(watcher.inbox.All()), 0)
		back.close()
		watcher.close()
	})

	cases.Run("take-over is told: 0x8E", func() {
		name := cases.Unique("twice")
		first := dial(address, &paho.Connect{ClientID: name, CleanStart: true})
		second := dial(address, &paho.Connect{ClientID: name, CleanStart: true})
		select {
		case code := <-first.told:
			cases.Equal("code", code, byte(0x8E))
		case <-time.After(patience):
			cases.Fail("nothing was told")
		}
		second.close()
	})

	cases.Run("keep alive of two seconds for five seconds", func() {
		client := dial(address, &paho.Connect{CleanStart: true, KeepAlive: 2})
		time.Sleep(5 * time.Second)
		client.publish(text(cases.Unique("k"), 1, "still here"))
		client.close()
	})
}

func properties(address string, open func() *client) {
	cases.Run("every property of a message, and a subscription identifier", func() {
		topic, client := cases.Unique("m")+"/m", open()
		identifier := &paho.SubscribeProperties{SubscriptionIdentifier: pointer(42)}
		client.subscribe(identifier, paho.SubscribeOptions{Topic: topic, QoS: 1})
		user := paho.UserProperties{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}, {Key: "a", Value: "3"}}
		packet := text(topic, 1, "x")
		packet.Properties = &paho.PublishProperties{
			ContentType: "text/plain", ResponseTopic: "reply/here", CorrelationData: []byte{0, 1, 2},
			PayloadFormat: pointer(byte(1)), MessageExpiry: pointer(uint32(100)), User: user,
		}
		client.publish(packet)
		found := client.inbox.Await(1)[0].Properties.(*paho.PublishProperties)
		cases.Equal("user properties", found.User, user)
		cases.Equal("texts", []string{found.ContentType, found.ResponseTopic}, []string{"text/plain", "reply/here"})
		cases.Equal("correlation data", found.CorrelationData, []byte{0, 1, 2})
		cases.Equal("identifier", *found.SubscriptionIdentifier, 42)
		cases.Equal("format", *found.PayloadFormat, byte(1))
		cases.Equal("expiry", *found.MessageExpiry <= 100 && *found.MessageExpiry >= 90, true)
		client.close()
	})

	cases.Run("No Local, Retain As Published, Retain Handling", func() {
		topic, client, other := cases.Unique("o")+"/o", open(), open()
		other.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("kept")})
		options := paho.SubscribeOptions{Topic: topic, QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}
		client.subscribe(nil, options)
		client.publish(text(topic, 1, "own"))
		other.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("x")})
		cases.Equal("texts", client.inbox.Texts(1), []string{"x"})
		cases.Equal("retained", client.inbox.All()[0].Retained, true)
		other.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true})
		client.close()
		other.close()
	})

	cases.Run("topic aliases of a client", func() {
		topic, client := cases.Unique("a")+"/a", open()
		client.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 1})
		for index, name := range []string{topic, "", "", topic, ""} {
			packet := text(name, 1, fmt.Sprint(index))
			packet.Properties = &paho.PublishProperties{TopicAlias: pointer(uint16(5))}
			client.publish(packet)
		}
		cases.Equal("texts", client.inbox.Texts(5), cases.Numbers(5))
		for _, message := range client.inbox.All() {
			cases.Equal("topic", message.Topic, topic)
		}
		client.close()
	})

	cases.Run("a nameless client is told its name", func() {
		connection, err := net.Dial("tcp", address)
		cases.Check(err)
		raw := paho.NewClient(paho.ClientConfig{Conn: connection})
		connack, err := raw.Connect(soon(), &paho.Connect{CleanStart: true, KeepAlive: 60})
		cases.Check(err)
		cases.Equal("has a name", connack.Properties.AssignedClientID != "", true)
		cases.Check(raw.Disconnect(&paho.Disconnect{}))
	})
}

func reconnecting(address string) {
	cases.Run("autopaho comes back by itself, and what was open goes out once", func() {
		topic, up := cases.Unique("re")+"/re", make(chan bool, 8)
		client := managed("mqtt://"+address, func(config *autopaho.ClientConfig) {
			config.OnConnectionUp = func(_ *autopaho.ConnectionManager, connack *paho.Connack) { up <- connack.SessionPresent }
		})
		cases.Equal("session present at first", <-up, false)
		client.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		watcher := dial(address, &paho.Connect{CleanStart: true})
		watcher.subscribe(nil, paho.SubscribeOptions{Topic: topic, QoS: 2})
		client.publish(text(topic, 2, "before"))
		client.cut()
		cases.Equal("session present again", <-up, true)
		client.publish(text(topic, 2, "after"))
		cases.Equal("texts", client.inbox.Texts(2), []string{"before", "after"})
		cases.Equal("texts", watcher.inbox.Texts(2), []string{"before", "after"})
		time.Sleep(100 * time.Millisecond)
		cases.Equal("messages", len(watcher.inbox.All()), 2)
		client.close()
		watcher.close()
	})
}
