package compat;

import static compat.Cases.bytes;
import static compat.Cases.equal;
import static compat.Cases.numbers;
import static compat.Cases.run;
import static compat.Cases.unique;

import compat.Cases.Inbox;
import compat.Cases.Message;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.MqttSubscription;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;

/** MQTT 5.0. */
final class Version5 implements MqttCallback {
    private static final long PATIENCE_MS = 8_000;

    final Inbox inbox = new Inbox();
    final CompletableFuture<Integer> told = new CompletableFuture<>();
    final MqttAsyncClient client;
    final boolean wasPresent;

    private Version5(String url, String name, Consumer<MqttConnectionOptions> change) throws Exception {
        client = new MqttAsyncClient(url, name == null ? unique("java5") : name, new MemoryPersistence());
        client.setCallback(this);
        var options = new MqttConnectionOptions();
        change.accept(options);
        var token = client.connect(options);
        token.waitForCompletion(PATIENCE_MS);
        wasPresent = token.getSessionPresent();
    }

    private static Version5 open(String url) throws Exception {
        return new Version5(url, null, options -> {});
    }

    private void subscribe(MqttSubscription subscription, MqttProperties properties) throws Exception {
        IMqttToken token = client.subscribe(new MqttSubscription[] {subscription}, null, null, properties);
        token.waitForCompletion(PATIENCE_MS);
        equal(token.getReasonCodes(), new int[] {subscription.getQos()}, "granted QoS");
    }

    private void subscribe(String filter, int qos) throws Exception {
        subscribe(new MqttSubscription(filter, qos), new MqttProperties());
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
        var flags = message.isRetained();
        inbox.add(new Message(topic, message.getPayload(), message.getQos(), flags, message.isDuplicate(), message.getProperties()));
    }

    @Override
    public void disconnected(MqttDisconnectResponse response) {
        told.complete(response.getReturnCode());
    }

    @Override
    public void mqttErrorOccurred(MqttException exception) {}

    @Override
    public void deliveryComplete(IMqttToken token) {}

    @Override
    public void connectComplete(boolean isAgain, String url) {}

    @Override
    public void authPacketArrived(int code, MqttProperties properties) {}

    static void all(String label, String url) {
        run(label + ": publish and subscribe at each QoS", () -> {
            var client = open(url);
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
            var client = open(url);
            var topic = unique("r") + "/r";
            client.publish(topic, "one", 1, true);
            client.publish(topic, "two", 1, true);
            var reader = open(url);
            reader.subscribe(topic, 1);
            equal(reader.inbox.texts(1).get(0), "two", "text");
            equal(reader.inbox.all().get(0).isRetained(), true, "retained");
            client.publish(topic, "", 1, true);
            var late = open(url);
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
            Consumer<MqttConnectionOptions> kept = options -> {
                options.setCleanStart(false);
                options.setSessionExpiryInterval(100L);
            };
            var first = new Version5(url, name, kept);
            first.subscribe(topic, 2);
            first.close();
            var publisher = open(url);
            for (var text : numbers(50)) publisher.publish(topic, text, 2, false);
            var second = new Version5(url, name, kept);
            equal(second.wasPresent, true, "session present");
            equal(second.inbox.texts(50), numbers(50), "texts");
            publisher.close();
            second.close();
        });

        run(label + ": 1,000 pipelined messages at QoS 2, in order", () -> {
            var topic = unique("p") + "/p";
            var publisher = open(url);
            var subscriber = open(url);
            subscriber.subscribe(topic, 2);
            var tokens = new ArrayList<IMqttToken>();
            for (var text : numbers(1_000)) tokens.add(publisher.client.publish(topic, text.getBytes(), 2, false));
            for (var token : tokens) token.waitForCompletion(PATIENCE_MS);
            equal(subscriber.inbox.texts(1_000), numbers(1_000), "texts");
            publisher.close();
            subscriber.close();
        });

        run(label + ": 200 KiB of any bytes, unsubscribe", () -> {
            var topic = unique("b") + "/b";
            var client = open(url);
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

    /** What one transport shows. */
    static void alone(String url) {
        run("5: every property of a message", () -> {
            var topic = unique("m") + "/m";
            var client = open(url);
            client.subscribe(topic, 1);
            var properties = new MqttProperties();
            properties.setContentType("text/plain");
            properties.setResponseTopic("reply/here");
            properties.setCorrelationData(new byte[] {0, 1, 2});
            properties.setPayloadFormat(true);
            properties.setMessageExpiryInterval(100L);
            var user = List.of(new UserProperty("a", "1"), new UserProperty("b", "2"), new UserProperty("a", "3"));
            properties.setUserProperties(user);
            var message = new MqttMessage("x".getBytes(), 1, false, properties);
            client.client.publish(topic, message).waitForCompletion(PATIENCE_MS);
            var found = (MqttProperties) client.inbox.await(1).get(0).properties();
            equal(found.getContentType() + " " + found.getResponseTopic(), "text/plain reply/here", "texts");
            equal(found.getCorrelationData(), new byte[] {0, 1, 2}, "correlation data");
            equal(found.getPayloadFormat(), true, "payload format");
            equal(found.getMessageExpiryInterval() <= 100 && found.getMessageExpiryInterval() >= 90, true, "expiry");
            equal(found.getUserProperties(), user, "user properties");
            client.close();
        });

        run("5: No Local, Retain As Published, Retain Handling", () -> {
            var topic = unique("o") + "/o";
            var client = open(url);
            var other = open(url);
            other.publish(topic, "kept", 1, true);
            var subscription = new MqttSubscription(topic, 1);
            subscription.setNoLocal(true);
            subscription.setRetainAsPublished(true);
            subscription.setRetainHandling(2);
            client.subscribe(subscription, new MqttProperties());
            client.publish(topic, "own", 1, false);
            other.publish(topic, "x", 1, true);
            equal(client.inbox.texts(1).get(0), "x", "text");
            equal(client.inbox.all().get(0).isRetained(), true, "retained");
            other.publish(topic, "", 1, true);
            client.close();
            other.close();
        });

        // Not towards it: the library looks for an alias among the names, and never finds one.
        run("5: topic aliases that the client assigns by itself", () -> {
            var level = unique("a");
            var client = open(url);
            client.subscribe(level + "/#", 1);
            for (int index = 0; index < 60; index++) client.publish(level + "/t" + index % 5, index, 1, false);
            equal(client.inbox.texts(60), numbers(60), "texts");
            for (int index = 0; index < 60; index++) {
                equal(client.inbox.all().get(index).topic(), level + "/t" + index % 5, "topic");
            }
            client.close();
        });

        run("5: a Receive Maximum of 3 is kept, and everything comes", () -> {
            var topic = unique("n") + "/n";
            var narrow = new Version5(url, null, options -> options.setReceiveMaximum(3));
            narrow.subscribe(topic, 2);
            var publisher = open(url);
            for (var text : numbers(100)) publisher.publish(topic, text, 2, false);
            equal(narrow.inbox.texts(100), numbers(100), "texts");
            narrow.close();
            publisher.close();
        });

        run("5: the will of a connection that ends without a word, with its properties", () -> {
            var topic = unique("w") + "/w";
            var watcher = open(url);
            watcher.subscribe(topic, 2);
            var sockets = new Version3.Sockets();
            new Version5(url, null, options -> {
                options.setSocketFactory(sockets);
                options.setWill(topic, new MqttMessage("gone".getBytes(), 1, false, null));
                var properties = new MqttProperties();
                properties.setContentType("text/plain");
                properties.setUserProperties(List.of(new UserProperty("a", "1")));
                options.setWillMessageProperties(properties);
            });
            sockets.cut();
            equal(watcher.inbox.texts(1).get(0), "gone", "text");
            var found = (MqttProperties) watcher.inbox.all().get(0).properties();
            equal(found.getContentType(), "text/plain", "content type");
            equal(found.getUserProperties(), List.of(new UserProperty("a", "1")), "user properties");
            watcher.close();
        });

        run("5: take-over is told: 0x8E", () -> {
            var name = unique("twice");
            var first = new Version5(url, name, options -> {});
            var second = new Version5(url, name, options -> {});
            equal(first.told.get(PATIENCE_MS, TimeUnit.MILLISECONDS), 0x8E, "code");
            equal(second.client.isConnected(), true, "the second is connected");
            second.close();
        });

        run("5: a shared subscription divides messages", () -> {
            var topic = unique("g") + "/g";
            var filter = "$share/" + unique("group") + "/" + topic;
            var one = open(url);
            var other = open(url);
            one.subscribe(filter, 1);
            other.subscribe(filter, 1);
            var publisher = open(url);
            for (var text : numbers(40)) publisher.publish(topic, text, 1, false);
            long end = System.currentTimeMillis() + PATIENCE_MS;
            while (one.inbox.all().size() + other.inbox.all().size() < 40 && System.currentTimeMillis() < end) Thread.sleep(10);
            equal(one.inbox.all().size() + other.inbox.all().size(), 40, "messages");
            equal(one.inbox.all().isEmpty() || other.inbox.all().isEmpty(), false, "one has none");
            one.close();
            other.close();
            publisher.close();
        });
    }
}
