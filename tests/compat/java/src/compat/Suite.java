package compat;

import java.util.logging.LogManager;

/** The Eclipse Paho clients for Java, over TCP and WebSocket: argument 3 for MQTT 3.1 and 3.1.1 (mqttv3), 5 for 5.0 (mqttv5). */
public final class Suite {
    private Suite() {}

    public static void main(String[] arguments) {
        // The libraries write down every PUBCOMP.
        LogManager.getLogManager().reset();
        var tcp = "tcp://" + System.getenv("MANIFOLD_MQTT");
        var address = System.getenv("MANIFOLD_WEBSOCKET");
        var websocket = address == null || address.isEmpty() ? null : "ws://" + address + "/mqtt";
        if (arguments[0].equals("3")) {
            Version3.all("3.1 over tcp", tcp, 3);
            Version3.all("3.1.1 over tcp", tcp, 4);
            if (websocket != null) Version3.all("3.1.1 over websocket", websocket, 4);
            Version3.alone(tcp);
        } else {
            Version5.all("5 over tcp", tcp);
            if (websocket != null) Version5.all("5 over websocket", websocket);
            Version5.alone(tcp);
        }
        Cases.done();
    }
}
