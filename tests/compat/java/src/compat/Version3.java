package compat;

import static compat.Cases.bytes;
import static compat.Cases.equal;
import static compat.Cases.numbers;
import static compat.Cases.run;
import static compat.Cases.unique;

import compat.Cases.Inbox;
import compat.Cases.Message;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import javax.net.SocketFactory;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.IMqttToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallbackExtended;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** MQTT 3.1 and 3.1.1. */
final class Version3 implements MqttCallbackExtended {
    private static final long PATIENCE_MS = 8_000;

    final Inbox inbox = new Inbox();
    final CountDownLatch lost = new CountDownLatch(1);
    final CountDownLatch back = new CountDownLatch(1);
    final MqttAsyncClient client;
    final boolean wasPresent;

    private Version3(String url, int version, String name, Consumer<MqttConnectOptions> change) throws Exception {
        client = new MqttAsyncClient(url, name == null ? unique("java") : name, new MemoryPersistence());
        client.setCallback(this);
        var options = new MqttConnectOptions();
        options.setMqttVersion(version);
        options.setMaxInflight(2_000);
        change.accept(options);
        var token = client.connect(options);
        token.waitForCompletion(PATIENCE_MS);
        wasPresent = token.getSessionPresent();
    }

    private static Version3 open(String url, int version) throws Exception {
        return new Version3(url, version, null, options -> {});
    }

    private void subscribe(String filter, int qos) throws Exception {
        IMqttToken token = client.subscribe(filter, qos);
        token.waitForCompletion(PATIENCE_MS);
        equal(token.getGrantedQos(), new int[] {qos}, "granted QoS");
    }

    private void publish(String topic, Object payload, int qos, boolean isRetained) throws Exception {
        byte[] body = payload instanceof byte[] given ? given : String.valueOf(payload).getBytes(StandardCharsets.UTF_8);
        client.publish(topic, body, qos, isRetained).waitForCompletion(PATIENCE_MS);
    }

    private void close() throws Exception {
        client.disconnect().waitForCompletion(PATIENCE_MS);
        client.close();
    }

    @Override
    public void messageArrived(String topic, MqttMessage message) {
        inbox.add(new Message(topic, message.getPayload(), message.getQos(), message.isRetained(), message.isDuplicate(), null));
    }

    @Override
    public void connectionLost(Throwable cause) {
        lost.countDown();
    }

    @Override
    public void connectComplete(boolean isAgain, String url) {
        if (isAgain) back.countDown();
    }

    @Override
    public void deliveryComplete(IMqttDeliveryToken token) {}

    static void all(String label, String url, int version) {
        run(label + ": publish and subscribe at each QoS", () -> {
            var client = open(url, version);
            var level = unique("t");
            for (int qos = 0; qos < 3; qos++) {
                client.subscribe(level + "/" + qos + "/+", qos);
                client.publish(level + "/" + qos + "/x", "hello " + qos, qos, false);
                var message = client.inbox.await(qos + 1).get(qos);
                equal(message.text(), "hello " + qos, "text");
                equal(message.qos() + " " + message.isRetained() + " " + message.isDuplicate(), qos + " false false", "flags");
            }
            client.close();
        });

        run(label + ": retained messages", () -> {
            var client = open(url, version);
            var topic = unique("r") + "/r";
            client.publish(topic, "one", 1, true);
            client.publish(topic, "two", 1, true);
            var reader = open(url, version);
            reader.subscribe(topic, 1);
            equal(reader.inbox.texts(1).get(0), "two", "text");
            equal(reader.inbox.all().get(0).isRetained(), true, "retained");
            client.publish(topic, "", 1, true);
            var late = open(url, version);
            late.subscribe(topic, 1);
            Thread.sleep(100);
            equal(late.inbox.all().size(), 0, "messages after it was cleared");
            client.close();
            reader.close();
            late.close();
        });

        run(label + ": a kept session gets what came meanwhile, in order", () -> {
            var topic = unique("s") + "/s";
            var name = unique("kept");
            var first = new Version3(url, version, name, options -> options.setCleanSession(false));
            first.subscribe(topic, 2);
            first.close();
            var publisher = open(url, version);
            for (var text : numbers(50)) publisher.publish(topic, text, 2, false);
            var second = new Version3(url, version, name, options -> options.setCleanSession(false));
            if (version == 4) equal(second.wasPresent, true, "session present");
            equal(second.inbox.texts(50), numbers(50), "texts");
            publisher.close();
            second.close();
        });

        run(label + ": 1,000 pipelined messages at QoS 2, in order", () -> {
            var topic = unique("p") + "/p";
            var publisher = open(url, version);
            var subscriber = open(url, version);
            subscriber.subscribe(topic, 2);
            var tokens = new ArrayList<IMqttDeliveryToken>();
            for (var text : numbers(1_000)) tokens.add(publisher.client.publish(topic, text.getBytes(), 2, false));
            for (var token : tokens) token.waitForCompletion(PATIENCE_MS);
            equal(subscriber.inbox.texts(1_000), numbers(1_000), "texts");
            publisher.close();
            subscriber.close();
        });

        run(label + ": 200 KiB of any bytes, unsubscribe", () -> {
            var topic = unique("b") + "/b";
            var client = open(url, version);
            client.subscribe(topic, 1);
            client.publish(topic, bytes(204_800), 1, false);
            equal(client.inbox.await(1).get(0).payload(), bytes(204_800), "payload");
            client.client.unsubscribe(topic).waitForCompletion(PATIENCE_MS);
            client.publish(topic, "late", 2, false);
            Thread.sleep(50);
            equal(client.inbox.all().size(), 1, "messages");
            client.close();
        });
    }

    /** What one version over one transport shows. */
    static void alone(String url) {
        run("3.1.1: the will of a broken connection", () -> {
            var topic = unique("w") + "/w";
            var watcher = open(url, 4);
            watcher.subscribe(topic, 2);
            var sockets = new Sockets();
            new Version3(url, 4, null, options -> {
                options.setSocketFactory(sockets);
                options.setWill(topic, "gone".getBytes(), 1, false);
            });
            sockets.cut();
            equal(watcher.inbox.texts(1).get(0), "gone", "text");
            watcher.close();
        });

        run("3.1.1: reconnect by itself: the subscription holds, messages that waited go out once", () -> {
            var topic = unique("re") + "/re";
            var sockets = new Sockets();
            var client = new Version3(url, 4, null, options -> {
                options.setSocketFactory(sockets);
                options.setCleanSession(false);
                options.setAutomaticReconnect(true);
            });
            client.subscribe(topic, 2);
            sockets.cut();
            if (!client.back.await(PATIENCE_MS, TimeUnit.MILLISECONDS)) throw new AssertionError("it did not come back");
            for (var text : numbers(20)) client.publish(topic, text, 2, false);
            equal(client.inbox.texts(20), numbers(20), "texts");
            Thread.sleep(100);
            equal(client.inbox.all().size(), 20, "messages");
            client.close();
        });

        run("3.1.1: a connection that is taken over ends", () -> {
            var name = unique("twice");
            var first = new Version3(url, 4, name, options -> {});
            var second = new Version3(url, 4, name, options -> {});
            equal(first.lost.await(PATIENCE_MS, TimeUnit.MILLISECONDS), true, "the first has ended");
            equal(second.client.isConnected(), true, "the second is connected");
            second.close();
        });

        run("3.1.1: keep alive of two seconds for five seconds", () -> {
            var client = new Version3(url, 4, null, options -> options.setKeepAliveInterval(2));
            Thread.sleep(5_000);
            equal(client.client.isConnected(), true, "connected");
            client.close();
        });
    }

    /** Makes the library's sockets, and cuts the last one behind its back. */
    static final class Sockets extends SocketFactory {
        private volatile Socket last;

        void cut() throws Exception {
            last.setSoLinger(true, 0);
            last.close();
        }

        @Override
        public Socket createSocket() {
            last = new Socket();
            return last;
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(String host, int port, java.net.InetAddress local, int localPort) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(java.net.InetAddress host, int port) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Socket createSocket(java.net.InetAddress host, int port, java.net.InetAddress local, int localPort) {
            throw new UnsupportedOperationException();
        }
    }
}
