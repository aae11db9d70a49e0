#!/usr/bin/env python3
"""Runs one test script of the mosquitto broker, as it is, against our broker.

    run_script.py TEST_FOLDER WORK_FOLDER SCRIPT [ARGUMENT...]

TEST_FOLDER is the folder test/ of mosquitto's source, WORK_FOLDER one of our own with a folder broker/ in it, where the script runs and
writes. The script is changed from outside alone: where it starts mosquitto it gets our broker with the same options, where it connects
to a port it gets to the one that our broker has taken, and where it compares bytes with those of mosquitto packets.py compares what
they say. MANIFOLD_COMMAND has the words that start the broker before `start`, as JSON; MANIFOLD_ROOT the folder to start it in.

Exits with the script's own code; with 3 where the script sets an option that our broker has no equal for.
"""
import atexit
import json
import os
import re
import runpy
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import configuration  # noqa: E402
import packets  # noqa: E402

NO_EQUAL = 3
NO_EQUAL_WORDS = "no equal for option "

test_folder, work_folder, script, *arguments = sys.argv[1:]
#: From the ports that the script knows to those that brokers have taken.
ports: "dict[int, int]" = {int(port): real for port, real in json.loads(os.environ.get("MANIFOLD_PORTS", "{}")).items()}
#: Freedoms of the standard that our broker took otherwise than mosquitto.
used: "set[str]" = set()
#: What must not have happened, though the script did not see it.
faults: "list[str]" = []
brokers: "list[subprocess.Popen]" = []


class Wire:
    """What comes on one connection, packet by packet."""

    def __init__(self, receive) -> None:
        self._receive = receive
        self._part = b""
        #: Of the CONNECT that was sent.
        self.level = 4
        #: PUBLISH packets that came before an answer that the script expected first.
        self.held: "list[bytes]" = []
        #: The rest of a packet that the script reads by itself.
        self.rest = b""
        #: Packet identifiers that the broker chose, by those that mosquitto would have chosen.
        self.identifiers: "dict[bytes, bytes]" = {}

    def sent(self, data: bytes) -> bytes:
        """What goes out for `data`: acknowledgements name the identifiers that the broker chose."""
        kind = data[0] & 0xF0 if data else 0
        if kind == packets.CONNECT:
            self.level = packets.level_of(data, self.level)
        elif kind in (packets.PUBACK, packets.PUBREC, packets.PUBCOMP) and len(data) >= 4:
            known = data[2:4]
            chosen = self.identifiers.get(known, known)
            if kind != packets.PUBREC:
                # It is free again.
                self.identifiers.pop(known, None)
            return data[:2] + chosen + data[4:]
        return data

    def matches(self, expected: bytes, found: bytes) -> bool:
        """Whether `found` says what `expected` says, under whatever packet identifier the broker chose."""
        wanted, got = packets.chosen_identifier(expected), packets.chosen_identifier(found)
        if wanted is None or got is None:
            return packets.same(expected, found, self.level, used)
        known, chosen = expected[wanted], found[got]
        if expected[0] & 0xF0 == packets.PUBREL:
            if self.identifiers.get(known, known) != chosen:
                return False
        elif chosen == b"\0\0" or any(chosen == other for name, other in self.identifiers.items() if name != known):
            return False
        if not packets.same(expected, found[: got.start] + known + found[got.stop :], self.level, used):
            return False
        if known != chosen:
            used.add("packet-identifier")
            self.identifiers[known] = chosen
        return True

    def from_network(self) -> bytes:
        """The next packet; b"" at the end of the connection, a part of a packet where it ends within one."""
        while True:
            whole, _ = packets.cut(self._part)
            if whole:
                self._part = self._part[len(whole[0]) :]
                return whole[0]
            more = self._receive(65536)
            if not more:
                part, self._part = self._part, b""
                return part
            self._part += more

    def next(self) -> bytes:
        return self.held.pop(0) if self.held else self.from_network()

    def answer(self) -> bytes:
        """The next packet that is no PUBLISH; those that came before it are held for whoever expects them."""
        while True:
            packet = self.from_network()
            if packet == b"" or packet[0] & 0xF0 != packets.PUBLISH:
                return packet
            used.add("publish-overtakes")
            self.held.append(packet)

    def is_closed(self) -> "tuple[bool, bytes]":
        """Whether the connection ends here, at most after the reason why; else what came instead."""
        packet = self.next()
        if packets.is_refusal(packet, self.level):
            used.add("said-before-close")
            packet = self.next()
        return packet == b"", packet


class Socket(socket.socket):
    """A socket that finds our brokers, and gives the script whole packets."""

    def __init__(self, *given, **named) -> None:
        super().__init__(*given, **named)
        self.wire = Wire(super().recv)

    def connect(self, address) -> None:
        host, port, *more = address
        super().connect((host, ports.get(port, port), *more))

    def send(self, data, *flags) -> int:
        return super().send(self.wire.sent(bytes(data)), *flags)

    def recv(self, size, *flags) -> bytes:
        """For scripts that read by themselves; they see the end of a connection, not the reason that is told before it."""
        if not self.wire.rest:
            packet = self.wire.next()
            if packets.is_refusal(packet, self.wire.level):
                used.add("said-before-close")
                packet = self.wire.next()
            self.wire.rest = packet
        data, self.wire.rest = self.wire.rest[:size], self.wire.rest[size:]
        return data

    def close(self) -> None:
        if self.wire.held:
            faults.append(f"never expected: {[packet.hex() for packet in self.wire.held]}")
            self.wire.held = []
        super().close()


def wire_of(sock) -> Wire:
    if not hasattr(sock, "wire"):
        sock.wire = Wire(sock.recv)
    return sock.wire


def tell(name: str, expected, found) -> None:
    print(f"{name}: expected {expected}, received {found}", flush=True)


def expect_packet(sock, name, expected) -> bool:
    """In place of mosq_test.expect_packet: the packets that `expected` says, or the end of the connection where it is empty."""
    wire = wire_of(sock)
    if len(expected) == 0:
        is_closed, found = wire.is_closed()
        if is_closed:
            if isinstance(sock, ssl.SSLSocket):
                raise closed_without_alert()
            return True
        tell(name, "the end of the connection", found.hex())
        raise mosq_test.TestError
    whole, rest = packets.cut(expected)
    for packet in whole:
        found = wire.answer() if packet[0] & 0xF0 in packets.ANSWERS else wire.next()
        if not wire.matches(packet, found):
            tell(name, packet.hex(), found.hex())
            raise mosq_test.TestError
    if rest:
        # A script that knows only how a packet begins.
        found = wire.next()
        if not found.startswith(rest):
            tell(name, f"{rest.hex()}...", found.hex())
            raise mosq_test.TestError
    return True


def receive_unordered(sock, first, second, error_string) -> None:
    """In place of mosq_test.receive_unordered: both packets, whichever comes first."""
    wire = wire_of(sock)
    found = [wire.next(), wire.next()]
    for order in (found, found[::-1]):
        if all(wire.matches(packet, got) for packet, got in zip((first, second), order)):
            return
    tell(error_string, f"{first.hex()} and {second.hex()}", [packet.hex() for packet in found])
    raise ValueError(error_string)


original_popen = subprocess.Popen


def popen(command, *given, **named):
    """In place of subprocess.Popen: mosquitto is our broker, and a script that the script starts is run like itself."""
    program = os.path.basename(command[0])
    if program == "mosquitto":
        return start_broker(command[1:])
    if program.endswith(".py"):
        named["env"] = {**(named.get("env") or os.environ), "MANIFOLD_PORTS": json.dumps(ports)}
        command = [sys.executable, __file__, test_folder, work_folder, program, *command[1:]]
    return original_popen(command, *given, **named)


#: Ends a broker with this process, whatever ends it; where there is no such tool, one may be left behind.
TIED_TO_US = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


class Broker(original_popen):
    """The process of our broker, for a script that thinks it is mosquitto's."""

    #: Whether the script may start it again with what it kept.
    keeps = False

    def terminate(self) -> None:
        # Scripts stop a broker right behind the last packet that they send, and count on its having read that.
        if self.keeps:
            time.sleep(0.5)
        super().terminate()


def start_broker(options: "list[str]") -> subprocess.Popen:
    """Starts our broker as mosquitto's command line asks, and waits until it is ready."""
    try:
        if "-c" in options:
            wanted = configuration.of_file(options[options.index("-c") + 1])
        else:
            wanted = configuration.of_port(int(options[options.index("-p") + 1]))
    except configuration.NoEqual as error:
        print(f"{NO_EQUAL_WORDS}{error}", flush=True)
        stop_brokers()
        os._exit(NO_EQUAL)
    folder = tempfile.mkdtemp(dir=work_folder)
    manifest = os.path.join(folder, "manifold.toml")
    with open(manifest, "w") as file:
        file.write(wanted.manifest())
    command = json.loads(os.environ["MANIFOLD_COMMAND"]) + ["start", "--config", manifest, "--data", data_folder(wanted, folder)]
    root = os.environ["MANIFOLD_ROOT"]
    broker = Broker(TIED_TO_US + command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    broker.keeps = wanted.persistence_file is not None
    brokers.append(broker)
    line = broker.stdout.readline().decode()
    if not line.startswith("ready "):
        print(f"the broker did not start: {line}{broker.communicate()[1].decode()}", flush=True)
        os._exit(1)
    for name, known in (("tcp", wanted.tcp), ("tls", wanted.tls)):
        found = re.search(rf" protocol-mqtt\.{name}=(\S+)", line)
        real = [int(address.rpartition(":")[2]) for address in found[1].split(",")] if found else []
        ports.update(zip(known, real))
    return broker


def data_folder(wanted: configuration.Configuration, folder: str) -> str:
    """Where the broker keeps its data: the same place again only where mosquitto would find its file again."""
    if wanted.persistence_file is None:
        return os.path.join(folder, "data")
    kept = os.path.join(work_folder, f"{os.path.basename(wanted.persistence_file)}.data")
    if not os.path.exists(wanted.persistence_file):
        shutil.rmtree(kept, ignore_errors=True)
        open(wanted.persistence_file, "w").close()
    return kept


@atexit.register
def stop_brokers() -> None:
    for broker in brokers:
        if broker.poll() is None:
            broker.kill()


def wrap_socket(sock, keyfile=None, certfile=None, cert_reqs=ssl.CERT_NONE, ca_certs=None) -> ssl.SSLSocket:
    """ssl.wrap_socket as it was before Python 3.12: no name is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = cert_reqs
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    return context.wrap_socket(sock)


def closed_without_alert() -> ssl.SSLError:
    """What a script sees where an alert says that it is refused."""
    used.add("tls-alert")
    return ssl.SSLError(ssl.SSL_ERROR_SSL, "closed without an alert")


def as_if_told(method):
    """A method of SSLSocket that tells in one way alone that the connection was closed."""

    def call(*given):
        try:
            return method(*given)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError) as error:
            raise closed_without_alert() from error

    return call


def connect_encrypted(self, address) -> None:
    host, port, *more = address
    original_connect(self, (host, ports.get(port, port), *more))


os.chdir(os.path.join(work_folder, "broker"))
scripts = os.path.join(test_folder, "broker")
sys.path[:0] = [scripts, test_folder]
import mosq_test  # noqa: E402

mosq_test.expect_packet = expect_packet
mosq_test.receive_unordered = receive_unordered
subprocess.Popen = popen
socket.socket = Socket
original_connect = ssl.SSLSocket.connect
ssl.SSLSocket.connect = as_if_told(connect_encrypted)
ssl.SSLSocket.send = as_if_told(ssl.SSLSocket.send)
ssl.SSLSocket.recv = as_if_told(ssl.SSLSocket.recv)
ssl.wrap_socket = wrap_socket

sys.argv = [script, *arguments]
code = 0
try:
    runpy.run_path(os.path.join(scripts, script), run_name="__main__")
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
for broker in brokers:
    if broker.poll() not in (None, 0):
        faults.append(f"a broker ended with {broker.returncode}")
for fault in faults:
    print(fault, flush=True)
for name in sorted(used):
    print(f"left to a server: {packets.FREEDOMS[name]}", flush=True)
sys.stdout.flush()
stop_brokers()
os._exit(code or (1 if faults else 0))
