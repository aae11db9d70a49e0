"""confluent-kafka, which is librdkafka: members of consumer groups."""
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from cases import case, done, equal, unique
from confluent_clients import ADMIN, BOOTSTRAP, code_of, create, send


class Member:
    """A member, with what it was given, what was taken from it, and what it read."""

    def __init__(self, group, topics, **options):
        self.events, self.found, self.errors = [], [], []
        self.consumer = Consumer(
            {
                **BOOTSTRAP,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 200,
                "fetch.wait.max.ms": 50,
                **options,
            }
        )
        note = lambda what: lambda _, partitions: self.events.append((what, sorted(p.partition for p in partitions)))
        self.consumer.subscribe(topics, on_assign=note("assign"), on_revoke=note("revoke"), on_lost=note("lost"))

    def poll(self):
        for message in self.consumer.consume(100, 0.02):
            if message.error():
                self.errors.append(message.error())
            else:
                self.found.append(message)

    @property
    def has(self):
        return sorted(p.partition for p in self.consumer.assignment())

    @property
    def values(self):
        return [message.value().decode() for message in self.found]


def until(what, members, probe, timeout=10):
    """Polls the members until the probe is true."""
    end = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s; {[(m.has, len(m.found), m.errors) for m in members]}")
        for member in members:
            member.poll()


def numbered(word, count=60):
    return [f"{word} {index}" for index in range(count)]


def fill(topic, values, partitions=6):
    for partition in range(partitions):
        send(topic, values[partition::partitions], partition=partition)


def committed(group, topic, partitions=(0,)):
    consumer = Consumer({**BOOTSTRAP, "group.id": group})
    found = consumer.committed([TopicPartition(topic, partition) for partition in partitions], 6)
    consumer.close()
    return [each.offset for each in found]


for strategy in ("range", "roundrobin", "cooperative-sticky"):

    @case(f"{strategy}: two members share 6 partitions, one leaves and the other goes on, every record is read")
    def _():
        topic, group = create(6), unique("g")
        options = {"partition.assignment.strategy": strategy, "auto.commit.interval.ms": 100}
        fill(topic, numbered("first"))
        one = Member(group, [topic], **options)
        until("the first reads all", [one], lambda: len(one.found) == 60)
        other = Member(group, [topic], **options)
        until("three each", [one, other], lambda: len(one.has) == 3 and len(other.has) == 3)
        equal(sorted(one.has + other.has), list(range(6)), "each partition once")
        if strategy == "cooperative-sticky":
            # What stays is neither taken nor given again.
            equal(one.events, [("assign", list(range(6))), ("revoke", other.has)] + one.events[2:])
            equal([given for what, given in one.events[2:] if given], [], "what moved to the first")
            equal([given for _, given in other.events if given], [other.has])
        else:
            equal(one.events[:3], [("assign", list(range(6))), ("revoke", list(range(6))), ("assign", one.has)])
        before = len(one.found), len(other.found)
        fill(topic, numbered("both"))
        until("both read", [one, other], lambda: set(numbered("both")) <= set(one.values + other.values))
        equal([len(one.found) - before[0] >= 30, len(other.found) - before[1] >= 30], [True, True], "each has its half")
        one.consumer.close()
        until("all to the other", [other], lambda: len(other.has) == 6)
        fill(topic, numbered("last"))
        until("the other reads alone", [other], lambda: set(numbered("last")) <= set(other.values))
        equal(len(set(one.values + other.values)), 180)
        other.consumer.close()
        equal(committed(group, topic, range(6)), [30] * 6)


@case("static member: comes back to its partitions without a rebalance; another of its name fences it")
def _():
    topic, group = create(4), unique("g")
    member = lambda name: Member(group, [topic], **{"group.instance.id": name})
    one, other = member("i1"), member("i2")
    until("two each", [one, other], lambda: len(one.has) == 2 and len(other.has) == 2)
    had, events = one.has, len(other.events)
    one.consumer.close()
    back = member("i1")
    until("back", [back, other], lambda: back.has)
    equal(back.has, had)
    fill(topic, numbered("x", 8), 4)
    until("read", [back, other], lambda: len(back.found) == 4 and len(other.found) == 4)
    equal(len(other.events), events, "rebalances of the other")
    thief = member("i1")
    # The one whose place is taken is not polled meanwhile: its heartbeats alone tell it.
    until("taken", [thief, other], lambda: thief.has == had)
    until("fenced", [thief, other, back], lambda: back.errors)
    equal(back.errors[0].code(), KafkaError._FATAL)
    for each in (thief, other, back):
        each.consumer.close()


@case("commits: by hand and at once, in the background, by stored offsets; with metadata; then a new member")
def _():
    topic, group = create(), unique("g")
    send(topic, [str(index) for index in range(10)])
    one = Member(group, [topic], **{"enable.auto.commit": False})
    until("10", [one], lambda: len(one.found) == 10)
    equal(committed(group, topic), [-1001], "nothing by itself")
    (answer,) = one.consumer.commit(message=one.found[3], asynchronous=False)
    equal((answer.offset, answer.error), (4, None))
    equal(committed(group, topic), [4])
    one.consumer.commit(offsets=[TopicPartition(topic, 0, 6, "six")], asynchronous=False)
    (found,) = one.consumer.committed([TopicPartition(topic, 0)], 6)
    equal((found.offset, found.metadata), (6, "six"))
    one.consumer.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=True)
    until("in the background", [one], lambda: committed(group, topic) == [7])
    one.consumer.close()
    two = Member(group, [topic], **{"enable.auto.offset.store": False, "auto.commit.interval.ms": 100})
    until("3", [two], lambda: len(two.found) == 3)
    equal(two.values, ["7", "8", "9"])
    two.consumer.store_offsets(two.found[1])
    until("the stored one", [two], lambda: committed(group, topic) == [9])
    two.consumer.close()
    (error,) = [code_of(lambda: Consumer({**BOOTSTRAP, "group.id": group}).commit(offsets=[TopicPartition(topic, 0, 1, "x" * 5000)], asynchronous=False))]
    equal(error, KafkaError.OFFSET_METADATA_TOO_LARGE)


@case("a commit of who is no member of a group that has members is refused")
def _():
    topic, group = create(), unique("g")
    member = Member(group, [topic])
    until("its partition", [member], lambda: member.has == [0])
    stranger = Consumer({**BOOTSTRAP, "group.id": group})
    equal(
        code_of(lambda: stranger.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)),
        KafkaError.UNKNOWN_MEMBER_ID,
    )
    stranger.close()
    member.consumer.close()


@case("pause and resume; a topic by a regular expression, and one that comes later")
def _():
    word = unique("re")
    first, member = f"{word}-a", Member(unique("g"), [f"^{word}-.*"], **{"topic.metadata.refresh.interval.ms": 300})
    send(first, ["1"])
    until("the first topic", [member], lambda: member.values == ["1"])
    member.consumer.pause([TopicPartition(first, 0)])
    send(first, ["2"])
    end = time.monotonic() + 0.5
    until("half a second", [member], lambda: time.monotonic() > end)
    equal(member.values, ["1"], "paused")
    member.consumer.resume([TopicPartition(first, 0)])
    until("resumed", [member], lambda: member.values == ["1", "2"])
    send(f"{word}-b", ["3"])
    until("the second topic", [member], lambda: "3" in member.values)
    member.consumer.close()


@case("a member that does not poll is put out by max.poll.interval.ms, and comes back")
def _():
    topic, group = create(2), unique("g")
    options = {"max.poll.interval.ms": 6_000}
    one, other = Member(group, [topic], **options), Member(group, [topic], **options)
    until("one each", [one, other], lambda: len(one.has) == 1 and len(other.has) == 1)
    until("all to the other", [other], lambda: other.has == [0, 1], 15)
    until("one each again", [one, other], lambda: len(one.has) == 1 and len(other.has) == 1)
    equal(KafkaError._MAX_POLL_EXCEEDED in [error.code() for error in one.errors], True, "it is told")
    one.consumer.close()
    other.consumer.close()


@case("what administration says of the members")
def _():
    topic, group = create(3), unique("g")
    members = [Member(group, [topic], **{"client.id": f"c{index}", "partition.assignment.strategy": "range"}) for index in range(2)]
    until("shared", members, lambda: sorted(len(member.has) for member in members) == [1, 2])
    described = ADMIN.describe_consumer_groups([group])[group].result(6)
    equal((described.state.name, described.partition_assignor, described.coordinator.id), ("STABLE", "range", 1))
    equal(sorted(member.client_id for member in described.members), ["c0", "c1"])
    given = {member.client_id: sorted(p.partition for p in member.assignment.topic_partitions) for member in described.members}
    equal(given, {f"c{index}": member.has for index, member in enumerate(members)})
    equal(code_of(lambda: ADMIN.delete_consumer_groups([group])[group].result(6)), KafkaError.NON_EMPTY_GROUP)
    for member in members:
        member.consumer.close()


done()
