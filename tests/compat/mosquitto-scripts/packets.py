"""MQTT packets from a broker: cut, read, and compared by what they say instead of by their bytes.

What a script expects are the bytes that mosquitto sends. Where the standard leaves a choice to the server, another broker's answer is
as good, and the script goes on. Each such choice has a name and its place in the standard in FREEDOMS; everything else must be equal.
Statements are those of MQTT 5.0 where no version is named.
"""

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70
SUBACK, UNSUBACK, DISCONNECT = 0x90, 0xB0, 0xE0
#: Answers to packets of the client; nothing but their kind is ordered with them.
ANSWERS = {PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK}

FREEDOMS = {
    "bytes": "properties come in any order, 2.2.2.2; Reason Code 0x00 may be left out, 3.4.2.1 and 3.14.2.1",
    "reason-string": "a server may add a Reason String, 3.2.2.3.9, 3.4.2.2.2, 3.14.2.2.3 and others",
    "connack-defaults": "a CONNACK may say Maximum Packet Size, and that there is what is there by default, 3.2.2.3",
    "no-subscribers": "0x10 is used instead of 0x00 by a server that wants to, 3.4.2.1 and 3.5.2.1",
    "identifier-not-found": "PUBCOMP 0x92 is no error during recovery, 3.7.2.1",
    "packet-identifier": "a message gets any Packet Identifier that is not in use, 2.2.1, and 2.3.1 of 3.1.1",
    "malformed": "0x81 or 0x82, unless a more specific code is defined, 4.13.1",
    "said-before-close": "before it closes a server MAY send a CONNACK, 3.1.4, and SHOULD send a DISCONNECT, 4.13.1, with the reason",
    "tls-alert": "an alert SHOULD tell a TLS client why it is refused; its connection is closed, RFC 8446, 6.2",
    "publish-overtakes": "a message is passed on before or after its sender is answered, 4.3.3, and may come before SUBACK, 3.8.4",
}

#: Lengths of properties: a number of bytes, "text" for a length of two bytes first, "pair" for two of them, "variable" for an integer.
_PROPERTIES = {
    0x01: 1, 0x02: 4, 0x03: "text", 0x08: "text", 0x09: "text", 0x0B: "variable", 0x11: 4, 0x12: "text", 0x13: 2, 0x15: "text",
    0x16: "text", 0x17: 1, 0x18: 4, 0x19: 1, 0x1A: "text", 0x1C: "text", 0x1F: "text", 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1,
    0x26: "pair", 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_REASON_STRING = 0x1F
_MAXIMUM_PACKET_SIZE = 0x27
#: Retain, wildcard subscriptions, subscription identifiers and shared subscriptions are available: 1 says what nothing says.
_AVAILABLE = {0x25, 0x28, 0x29, 0x2A}


def variable(data: bytes, position: int) -> "tuple[int, int]":
    """A Variable Byte Integer and where it ends; IndexError where it is cut, ValueError where it is none."""
    value = 0
    for shift in (0, 7, 14, 21):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("no Variable Byte Integer")


def cut(data: bytes) -> "tuple[list[bytes], bytes]":
    """Whole packets, and the beginning of one at the end."""
    packets = []
    while data:
        try:
            length, body = variable(data, 1)
        except IndexError:
            break
        if len(data) < body + length:
            break
        packets.append(data[: body + length])
        data = data[body + length :]
    return packets, data


def _properties(data: bytes, position: int) -> "tuple[dict[int, list[bytes]], int]":
    length, position = variable(data, position)
    end = position + length
    if end > len(data):
        raise IndexError
    found: "dict[int, list[bytes]]" = {}
    while position < end:
        name = data[position]
        position += 1
        kind = _PROPERTIES[name]
        start = position
        if kind == "variable":
            _, position = variable(data, position)
        elif isinstance(kind, int):
            position += kind
        else:
            for _ in range(2 if kind == "pair" else 1):
                position += 2 + int.from_bytes(data[position : position + 2], "big")
        found.setdefault(name, []).append(data[start:position])
    if position != end:
        raise IndexError
    return found, end


def _read(packet: bytes) -> dict:
    """The fields of a packet from a server at protocol level 5; an error where it is not whole or not well-formed."""
    kind = packet[0] & 0xF0
    length, position = variable(packet, 1)
    if len(packet) != position + length:
        raise IndexError
    read: dict = {"first": packet[0], "reason": 0, "properties": {}}
    if kind == CONNACK:
        read["flags"], read["reason"] = packet[position], packet[position + 1]
        read["properties"], end = _properties(packet, position + 2)
        read["rest"] = packet[end:]
        return read
    if kind == PUBLISH:
        topic = position + 2 + int.from_bytes(packet[position : position + 2], "big")
        has_identifier = packet[0] & 0x06 != 0
        read["topic"] = packet[position:topic]
        read["identifier"] = packet[topic : topic + 2] if has_identifier else b""
        read["properties"], end = _properties(packet, topic + (2 if has_identifier else 0))
        read["rest"] = packet[end:]
        return read
    if kind in (SUBACK, UNSUBACK):
        read["identifier"] = packet[position : position + 2]
        read["properties"], end = _properties(packet, position + 2)
        read["rest"] = packet[end:]
        return read
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        read["identifier"] = packet[position : position + 2]
        position += 2
    if position < len(packet):
        read["reason"] = packet[position]
        position += 1
    if position < len(packet):
        read["properties"], position = _properties(packet, position)
    read["rest"] = packet[position:]
    return read


def level_of(connect: bytes, otherwise: int) -> int:
    """The protocol level of a CONNECT, also of one that is cut."""
    try:
        _, body = variable(connect, 1)
        return connect[body + 2 + int.from_bytes(connect[body : body + 2], "big")] & 0x7F
    except (IndexError, ValueError):
        return otherwise


def chosen_identifier(packet: bytes) -> "slice | None":
    """Where a packet has an identifier that its server chose; None where it has none."""
    kind = packet[0] & 0xF0 if packet else 0
    if kind == PUBREL:
        return slice(2, 4)
    if kind != PUBLISH or packet[0] & 0x06 == 0:
        return None
    _, body = variable(packet, 1)
    place = body + 2 + int.from_bytes(packet[body : body + 2], "big")
    return slice(place, place + 2)


def is_refusal(packet: bytes, level: int) -> bool:
    """Whether a server says with this packet why it closes the connection."""
    if level < 5 or len(packet) < 3:
        return False
    if packet[0] == CONNACK:
        return len(packet) > 3 and packet[3] >= 0x80
    return packet[0] == DISCONNECT and packet[2] >= 0x80


def same(expected: bytes, found: bytes, level: int, used: "set[str]") -> bool:
    """Whether `found` says what `expected` says; names of the freedoms that it took go to `used`."""
    if expected == found:
        return True
    if level < 5 or not found or found[0] != expected[0]:
        return False
    try:
        wanted, got = _read(expected), _read(found)
    except (IndexError, KeyError, ValueError):
        return False
    freedoms = {"bytes"}
    kind = expected[0] & 0xF0
    codes = (wanted["reason"], got["reason"])
    if codes[0] != codes[1]:
        if kind in (PUBACK, PUBREC) and codes == (0x10, 0x00):
            freedoms.add("no-subscribers")
        elif kind == PUBCOMP and codes == (0x00, 0x92):
            freedoms.add("identifier-not-found")
        elif kind == DISCONNECT and codes in ((0x81, 0x82), (0x82, 0x81)):
            freedoms.add("malformed")
        else:
            return False
    for name in ("flags", "identifier", "topic", "rest"):
        if wanted.get(name) != got.get(name):
            return False
    for name, values in got["properties"].items():
        if wanted["properties"].get(name) == values:
            continue
        if name in wanted["properties"]:
            return False
        if name == _REASON_STRING and kind != PUBLISH:
            freedoms.add("reason-string")
        elif kind == CONNACK and (name == _MAXIMUM_PACKET_SIZE or (name in _AVAILABLE and values == [b"\x01"])):
            freedoms.add("connack-defaults")
        else:
            return False
    if wanted["properties"].keys() - got["properties"].keys():
        return False
    used |= freedoms
    return True
