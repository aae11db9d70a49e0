"""Eclipse Paho for Python: 3.1, 3.1.1 and 5 over TCP and WebSocket."""
import os
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from cases import case, done, equal, unique

V31, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5
TRANSPORTS = [("tcp", os.environ["MANIFOLD_MQTT"])]
if os.environ.get("MANIFOLD_WEBSOCKET"):
    TRANSPORTS.append(("websockets", os.environ["MANIFOLD_WEBSOCKET"]))


class Client:
    """A paho client with its network loop in a thread; `messages` holds what came."""

    def __init__(self, transport, address, version, client_id=None, clean=True, expiry=None, will=None, keepalive=60):
        self.messages = []
        self.changed = threading.Condition()
        self.connected = self.suback = self.disconnected = None
        kwargs = {} if version == V5 else {"clean_session": clean}
        self.raw = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id or unique("paho"), protocol=version, transport=transport, reconnect_on_failure=False, **kwargs)
        if transport == "websockets":
            self.raw.ws_set_options(path="/mqtt")
        if will is not None:
            self.raw.will_set(*will)
        self.raw.on_connect = self._set("connected", lambda client, data, flags, code, properties: (flags, code, properties))
        self.raw.on_disconnect = self._set("disconnected", lambda client, data, flags, code, properties: code)
        self.raw.on_subscribe = self._set("suback", lambda client, data, mid, codes, properties: codes)
        self.raw.on_message = self._message
        host, port = address.split(":")
        extra = {}
        if version == V5:
            extra["clean_start"] = clean
            if expiry is not None:
                extra["properties"] = Properties(PacketTypes.CONNECT)
                extra["properties"].SessionExpiryInterval = expiry
        self.raw.connect(host, int(port), keepalive, **extra)
        self.raw.loop_start()
        self.wait("CONNACK", lambda: self.connected)
        equal(self.connected[1].value, 0, "connect reason code")

    def _set(self, name, pick):
        def callback(*args):
            with self.changed:
                setattr(self, name, pick(*args))
                self.changed.notify_all()

        return callback

    def _message(self, client, data, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait(self, what, condition, timeout=6):
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise TimeoutError(f"waited in vain for {what}")

    def subscribe(self, *args, **kwargs):
        self.suback = None
        self.raw.subscribe(*args, **kwargs)
        self.wait("SUBACK", lambda: self.suback)
        return [code.value for code in self.suback]

    def publish(self, topic, payload, qos=0, **kwargs):
        self.raw.publish(topic, payload, qos, **kwargs).wait_for_publish(6)

    def texts(self, count):
        self.wait(f"{count} messages, have {len(self.messages)}", lambda: len(self.messages) >= count)
        return [message.payload.decode() for message in self.messages]

    def close(self):
        self.raw.disconnect()
        self.raw.loop_stop()


for transport, address in TRANSPORTS:
    for name, version in (("3.1", V31), ("3.1.1", V311), ("5", V5)):
        label = f"{name} over {transport}"

        @case(f"{label}: publish and subscribe at each QoS")
        def _():
            client = Client(transport, address, version)
            level = unique()
            for qos in (0, 1, 2):
                equal(client.subscribe(f"{level}/{qos}/+", qos), [qos], "granted QoS")
                client.publish(f"{level}/{qos}/x", f"hello {qos}", qos)
                client.texts(qos + 1)
                message = client.messages[-1]
                equal((message.payload, message.qos, message.retain, message.dup), (f"hello {qos}".encode(), qos, False, False))
            client.close()

        @case(f"{label}: retained messages")
        def _():
            client = Client(transport, address, version)
            topic = f"{unique()}/r"
            client.publish(topic, "one", 1, retain=True)
            client.publish(topic, "two", 1, retain=True)
            reader = Client(transport, address, version)
            reader.subscribe(topic, 1)
            equal(reader.texts(1), ["two"])
            equal(reader.messages[0].retain, True)
            client.publish(topic, None, 1, retain=True)
            late = Client(transport, address, version)
            late.subscribe(topic, 1)
            time.sleep(0.1)
            equal(late.messages, [])
            for each in (client, reader, late):
                each.close()

        @case(f"{label}: a kept session gets what came meanwhile, in order")
        def _():
            topic, client_id = f"{unique()}/s", unique("kept")
            first = Client(transport, address, version, client_id, clean=False, expiry=100)
            first.subscribe(topic, 2)
            first.close()
            publisher = Client(transport, address, version)
            for index in range(50):
                publisher.publish(topic, str(index), 2)
            second = Client(transport, address, version, client_id, clean=False, expiry=100)
            if version != V31:
                equal(second.connected[0].session_present, True, "session present")
            equal(second.texts(50), [str(index) for index in range(50)])
            publisher.close()
            second.close()

        @case(f"{label}: 1,000 pipelined messages at QoS 2, in order")
        def _():
            topic = f"{unique()}/p"
            publisher, subscriber = Client(transport, address, version), Client(transport, address, version)
            subscriber.subscribe(topic, 2)
            infos = [publisher.raw.publish(topic, str(index), 2) for index in range(1000)]
            for info in infos:
                info.wait_for_publish(8)
            equal(subscriber.texts(1000), [str(index) for index in range(1000)])
            publisher.close()
            subscriber.close()

        @case(f"{label}: the will of a broken connection")
        def _():
            topic = f"{unique()}/w"
            watcher = Client(transport, address, version)
            watcher.subscribe(topic, 2)
            client = Client(transport, address, version, will=(topic, "gone", 1, False))
            client.raw.socket().close()
            equal(watcher.texts(1), ["gone"])
            watcher.close()

        @case(f"{label}: a large message, unsubscribe")
        def _():
            topic = f"{unique()}/b"
            client = Client(transport, address, version)
            client.subscribe(topic, 1)
            payload = bytes(index * 31 & 255 for index in range(204_800))
            client.publish(topic, payload, 1)
            client.wait("the large message", lambda: client.messages)
            equal(client.messages[0].payload == payload, True)
            client.raw.unsubscribe(topic)
            client.publish(topic, "late", 2)
            time.sleep(0.05)
            equal(len(client.messages), 1)
            client.close()

    @case(f"5 over {transport}: properties and subscribe options")
    def _():
        topic = f"{unique()}/m"
        client, other = Client(transport, address, V5), Client(transport, address, V5)
        identifier = Properties(PacketTypes.SUBSCRIBE)
        identifier.SubscriptionIdentifier = 42
        client.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True), properties=identifier)
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("a", "1"), ("b", "2"), ("a", "3")]
        properties.ContentType = "text/plain"
        properties.ResponseTopic = "reply/here"
        properties.CorrelationData = b"\x00\x01"
        properties.PayloadFormatIndicator = 1
        properties.MessageExpiryInterval = 100
        client.publish(topic, "own", 1)
        other.publish(topic, "x", 1, retain=True, properties=properties)
        equal(client.texts(1), ["x"])
        message = client.messages[0]
        found = message.properties
        equal(message.retain, True, "retain as published")
        equal(found.UserProperty, [("a", "1"), ("b", "2"), ("a", "3")])
        equal((found.ContentType, found.ResponseTopic, found.CorrelationData, found.PayloadFormatIndicator), ("text/plain", "reply/here", b"\x00\x01", 1))
        equal(found.SubscriptionIdentifier, [42])
        other.publish(topic, None, 1, retain=True)
        client.close()
        other.close()

    @case(f"5 over {transport}: take-over is told")
    def _():
        client_id = unique("twice")
        first = Client(transport, address, V5, client_id)
        second = Client(transport, address, V5, client_id)
        first.wait("the end of the first", lambda: first.disconnected)
        equal(first.disconnected.value, 0x8E)
        second.close()


@case("keep alive of two seconds for five seconds")
def _():
    client = Client(*TRANSPORTS[0], V311, keepalive=2)
    time.sleep(5)
    equal(client.disconnected, None)
    equal(client.raw.is_connected(), True)
    client.close()


done()
