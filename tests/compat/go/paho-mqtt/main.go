// The Eclipse Paho client for Go, MQTT 3.1 and 3.1.1, over TCP and WebSocket.
package main

import (
	"fmt"
	"net"
	neturl "net/url"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"manifold/tests/compat/cases"
)

const patience = 8 * time.Second

func finish(token mqtt.Token) {
	if !token.WaitTimeout(patience) {
		cases.Fail("no acknowledgement")
	}
	cases.Check(token.Error())
}

type client struct {
	mqtt.Client
	inbox *cases.Inbox
}

func open(url string, version uint, change func(*mqtt.ClientOptions)) *client {
	made := &client{inbox: cases.NewInbox()}
	options := mqtt.NewClientOptions().AddBroker(url).SetProtocolVersion(version).SetClientID(cases.Unique("go"))
	options.SetAutoReconnect(false).SetConnectTimeout(patience).SetOrderMatters(true)
	options.SetDefaultPublishHandler(func(_ mqtt.Client, message mqtt.Message) {
		made.inbox.Add(cases.Message{
			Topic: message.Topic(), Text: string(message.Payload()), QoS: message.Qos(),
			Retained: message.Retained(), Duplicate: message.Duplicate(),
		})
	})
	if change != nil {
		change(options)
	}
	made.Client = mqtt.NewClient(options)
	finish(made.Connect())
	return made
}

func (client *client) subscribe(filter string, qos byte) {
	token := client.Subscribe(filter, qos, nil)
	finish(token)
	cases.Equal("granted QoS", token.(*mqtt.SubscribeToken).Result()[filter], qos)
}

func (client *client) publish(topic string, qos byte, retained bool, payload any) {
	finish(client.Publish(topic, qos, retained, payload))
}

func (client *client) close() { client.Disconnect(100) }

// Cuts the connection of whoever dials through it.
type cutter struct {
	mutex      sync.Mutex
	connection net.Conn
}

func (cutter *cutter) through(options *mqtt.ClientOptions, address string) {
	options.SetCustomOpenConnectionFn(func(_ *neturl.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		connection, err := net.Dial("tcp", address)
		cutter.mutex.Lock()
		cutter.connection = connection
		cutter.mutex.Unlock()
		return connection, err
	})
}

func (cutter *cutter) cut() {
	cutter.mutex.Lock()
	defer cutter.mutex.Unlock()
	// Not Close: what the program ends itself is not lost to the library.
	cases.Check(cutter.connection.(*net.TCPConn).CloseRead())
}

func main() {
	address := os.Getenv("MANIFOLD_MQTT")
	transports := [][2]string{{"tcp", "tcp://" + address}}
	if other := os.Getenv("MANIFOLD_WEBSOCKET"); other != "" {
		transports = append(transports, [2]string{"websocket", "ws://" + other + "/mqtt"})
	}
	for _, transport := range transports {
		for _, version := range []struct {
			name  string
			level uint
		}{{"3.1", 3}, {"3.1.1", 4}} {
			all(version.name+" over "+transport[0], transport[1], version.level)
		}
	}
	alone(transports[0][1], address)
	cases.Done()
}

func all(label, url string, version uint) {
	cases.Run(label+": publish and subscribe at each QoS", func() {
		client, level := open(url, version, nil), cases.Unique("t")
		for qos := range byte(3) {
			topic := fmt.Sprintf("%s/%d/x", level, qos)
			client.subscribe(fmt.Sprintf("%s/%d/+", level, qos), qos)
			client.publish(topic, qos, false, fmt.Sprint("hello ", qos))
			message := client.inbox.Await(int(qos) + 1)[qos]
			cases.Equal("message", message, cases.Message{Topic: topic, Text: fmt.Sprint("hello ", qos), QoS: qos})
		}
		client.close()
	})

	cases.Run(label+": many filters in one SUBSCRIBE", func() {
		client, level := open(url, version, nil), cases.Unique("t")
		token := client.SubscribeMultiple(map[string]byte{level + "/a": 0, level + "/b": 1, level + "/c/#": 2}, nil)
		finish(token)
		wanted := map[string]byte{level + "/a": 0, level + "/b": 1, level + "/c/#": 2}
		cases.Equal("granted", token.(*mqtt.SubscribeToken).Result(), wanted)
		for index, name := range []string{"a", "b", "c", "c/d/e"} {
			client.publish(level+"/"+name, 2, false, name)
			cases.Equal("message", client.inbox.Await(index + 1)[index].QoS, byte(min(index, 2)))
		}
		client.close()
	})

	cases.Run(label+": retained messages", func() {
		client, topic := open(url, version, nil), cases.Unique("r")+"/r"
		client.publish(topic, 1, true, "one")
		client.publish(topic, 1, true, "two")
		reader := open(url, version, nil)
		reader.subscribe(topic, 1)
		cases.Equal("text", reader.inbox.Texts(1), []string{"two"})
		cases.Equal("retained", reader.inbox.All()[0].Retained, true)
		client.publish(topic, 1, true, "")
		late := open(url, version, nil)
		late.subscribe(topic, 1)
		time.Sleep(100 * time.Millisecond)
		cases.Equal("messages after it was cleared", len(late.inbox.All()), 0)
		client.close()
		reader.close()
		late.close()
	})

	cases.Run(label+": a kept session gets what came meanwhile, in order", func() {
		topic, name := cases.Unique("s")+"/s", cases.Unique("kept")
		kept := func(options *mqtt.ClientOptions) { options.SetClientID(name).SetCleanSession(false) }
		first := open(url, version, kept)
		first.subscribe(topic, 2)
		first.close()
		publisher := open(url, version, nil)
		for _, text := range cases.Numbers(50) {
			publisher.publish(topic, 2, false, text)
		}
		second := open(url, version, kept)
		cases.Equal("texts", second.inbox.Texts(50), cases.Numbers(50))
		publisher.close()
		second.close()
	})

	cases.Run(label+": 1,000 pipelined messages at QoS 2, in order", func() {
		publisher, subscriber, topic := open(url, version, nil), open(url, version, nil), cases.Unique("p")+"/p"
		subscriber.subscribe(topic, 2)
		var tokens []mqtt.Token
		for _, text := range cases.Numbers(1_000) {
			tokens = append(tokens, publisher.Publish(topic, 2, false, text))
		}
		for _, token := range tokens {
			finish(token)
		}
		cases.Equal("texts", subscriber.inbox.Texts(1_000), cases.Numbers(1_000))
		publisher.close()
		subscriber.close()
	})

	cases.Run(label+": 200 KiB of any bytes, unsubscribe", func() {
		client, topic := open(url, version, nil), cases.Unique("b")+"/b"
		client.subscribe(topic, 1)
		client.publish(topic, 1, false, cases.Bytes(204_800))
		cases.Equal("equal", client.inbox.Texts(1)[0] == string(cases.Bytes(204_800)), true)
		finish(client.Unsubscribe(topic))
		client.publish(topic, 2, false, "late")
		time.Sleep(50 * time.Millisecond)
		cases.Equal("messages", len(client.inbox.All()), 1)
		client.close()
	})
}

// What one version over one transport shows.
func alone(url, address string) {
	cases.Run("the will of a broken connection", func() {
		topic := cases.Unique("w") + "/w"
		watcher := open(url, 4, nil)
		watcher.subscribe(topic, 2)
		var cutter cutter
		open(url, 4, func(options *mqtt.ClientOptions) {
			options.SetWill(topic, "gone", 1, false)
			cutter.through(options, address)
		})
		cutter.cut()
		cases.Equal("texts", watcher.inbox.Texts(1), []string{"gone"})
		watcher.close()
	})

	cases.Run("no will after a DISCONNECT", func() {
		topic := cases.Unique("w") + "/w"
		watcher := open(url, 4, nil)
		watcher.subscribe(topic, 2)
		leaving := open(url, 4, func(options *mqtt.ClientOptions) { options.SetWill(topic, "gone", 1, false) })
		leaving.close()
		time.Sleep(200 * time.Millisecond)
		cases.Equal("messages", len(watcher.inbox.All()), 0)
		watcher.close()
	})

	cases.Run("reconnect by itself: subscriptions hold, messages that waited go out once", func() {
		topic := cases.Unique("re") + "/re"
		var cutter cutter
		connected, lost := make(chan struct{}, 8), make(chan struct{}, 8)
		client := open(url, 4, func(options *mqtt.ClientOptions) {
			cutter.through(options, address)
			// The default store forgets the order of what waits.
			options.SetStore(mqtt.NewOrderedMemoryStore())
			options.SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetCleanSession(false)
			options.SetOnConnectHandler(func(mqtt.Client) { connected <- struct{}{} })
			options.SetConnectionLostHandler(func(mqtt.Client, error) { lost <- struct{}{} })
		})
		<-connected
		client.subscribe(topic, 2)
		cutter.cut()
		// A message that is being written just then is told to have failed, and goes out all the same.
		<-lost
		var tokens []mqtt.Token
		for _, text := range cases.Numbers(20) {
			tokens = append(tokens, client.Publish(topic, 2, false, text))
		}
		<-connected
		for _, token := range tokens {
			finish(token)
		}
		cases.Equal("texts", client.inbox.Texts(20), cases.Numbers(20))
		time.Sleep(100 * time.Millisecond)
		cases.Equal("messages", len(client.inbox.All()), 20)
		client.close()
	})

	cases.Run("a connection that is taken over ends", func() {
		name, lost := cases.Unique("twice"), make(chan error, 1)
		open(url, 4, func(options *mqtt.ClientOptions) {
			options.SetClientID(name).SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
		})
		second := open(url, 4, func(options *mqtt.ClientOptions) { options.SetClientID(name) })
		select {
		case <-lost:
		case <-time.After(patience):
			cases.Fail("the first connection goes on")
		}
		cases.Equal("connected", second.IsConnectionOpen(), true)
		second.close()
	})

	cases.Run("keep alive of two seconds for five seconds", func() {
		client := open(url, 4, func(options *mqtt.ClientOptions) { options.SetKeepAlive(2 * time.Second) })
		time.Sleep(5 * time.Second)
		cases.Equal("connected", client.IsConnectionOpen(), true)
		client.close()
	})
}
