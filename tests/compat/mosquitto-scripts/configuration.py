"""What a mosquitto.conf asks for, as a manifest of Manifold.

Only what has an equal is translated: an option without one is told by name, since a script that sets it would prove nothing.
"""
import json
import os


class NoEqual(Exception):
    """The broker has no setting for an option of mosquitto."""


#: What mosquitto 2.0 does where nothing is set, as far as scripts can see it.
_DEFAULTS = {
    "topic_alias_maximum": 10,
    "outbound_topic_alias_max": 0,
    "receive_maximum": 20,
    "inflight_max": 20,
    "queue_messages_max": 1000,
}
#: Options that change nothing a client can see here.
_IGNORED = {"log_type", "log_dest", "log_timestamp", "connection_messages", "autosave_interval", "per_listener_settings"}


class Configuration:
    def __init__(self) -> None:
        #: Ports that the script will connect to, in the order of the listeners in the manifest.
        self.tcp: "list[int]" = []
        self.tls: "list[int]" = []
        #: The file that mosquitto would keep its state in; None where nothing is kept over a restart.
        self.persistence_file: "str | None" = None
        self.options: dict = dict(_DEFAULTS)

    def manifest(self) -> str:
        """The text of a manifold.toml with the protocol MQTT alone; every listener takes a free port."""
        options = {
            "tcp": ["127.0.0.1:0"] * len(self.tcp),
            "websocket": [],
            "tls": ["127.0.0.1:0"] * len(self.tls),
            **self.options,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        return "\n".join(['[[plugin]]\nuse = "protocol-mqtt"\n[plugin.options]', *lines, ""])


def of_port(port: int) -> Configuration:
    """Of `mosquitto -p PORT`."""
    found = Configuration()
    found.tcp.append(port)
    return found


def of_file(path: str) -> Configuration:
    """Of `mosquitto -c PATH`; NoEqual where it cannot be said."""
    with open(path) as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    found = Configuration()
    # Up to the first `listener` the options are those of the default listener and of all.
    listeners: "list[dict]" = [{}]
    persists = False
    for name, *words in lines:
        value = " ".join(words)
        if name in ("port", "listener"):
            if name == "listener":
                listeners.append({})
            listeners[-1]["port"] = int(words[0])
        elif name in ("allow_anonymous", "allow_zero_length_clientid"):
            # Where allow_anonymous is not said, mosquitto lets nobody in: a script that counts on it will see that we do.
            if value != "true":
                raise NoEqual(f"{name} false")
        elif name in ("cafile", "certfile", "keyfile"):
            listeners[-1][name] = os.path.abspath(value)
        elif name == "require_certificate":
            listeners[-1][name] = value == "true"
        elif name == "persistence":
            persists = value == "true"
        elif name == "persistence_file":
            found.persistence_file = value
        elif name == "max_inflight_messages":
            found.options["receive_maximum"] = found.options["inflight_max"] = int(value)
        elif name == "max_queued_messages":
            found.options["queue_messages_max"] = int(value)
        elif name in ("max_queued_bytes", "max_inflight_bytes"):
            # One number for both: as many bytes as may wait may be in flight.
            found.options["queue_bytes_max"] = int(value)
        elif name == "max_keepalive":
            found.options["keep_alive_max"] = int(value)
        elif name == "max_packet_size" and int(value) >= 1024:
            found.options["packet_size_max"] = int(value)
        elif name not in _IGNORED:
            raise NoEqual(name)
    if not persists:
        found.persistence_file = None
    for listener in listeners:
        _listen(found, listener)
    return found


def _listen(found: Configuration, listener: dict) -> None:
    if "port" not in listener:
        return
    if "certfile" not in listener:
        found.tcp.append(listener["port"])
        return
    found.tls.append(listener["port"])
    found.options["certificate"] = listener["certfile"]
    found.options["private_key"] = listener["keyfile"]
    if listener.get("require_certificate"):
        found.options["client_ca"] = listener["cafile"]
        found.options["client_certificate"] = "required"
