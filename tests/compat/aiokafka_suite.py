"""aiokafka: producer, readers with partitions assigned by hand, members of groups, administration."""
import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from cases import case, done, equal, unique

BOOTSTRAP = {"bootstrap_servers": os.environ["MANIFOLD_KAFKA"]}
NOW = int(time.time() * 1000) - 60_000  # recent, or time retention would take the records away
logging.disable(logging.CRITICAL)  # what it thinks of rebalances
LIMIT = 20  # seconds that a case may take


def async_case(name):
    """Runs the decorated coroutine function at once; what it opens with its argument is closed at its end."""

    def decorate(body):
        async def whole():
            async with AsyncExitStack() as stack:
                await asyncio.wait_for(body(stack.enter_async_context), LIMIT)

        return case(name)(lambda: asyncio.run(whole()))

    return decorate


def producer(**options):
    return AIOKafkaProducer(**BOOTSTRAP, **options)


def consumer(*topics, **options):
    timings = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 200, "fetch_max_wait_ms": 100}
    return AIOKafkaConsumer(*topics, **BOOTSTRAP, **{**timings, "auto_offset_reset": "earliest", **options})


class Admin(AIOKafkaAdminClient):
    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.close()


async def create(partitions=1, **configs):
    topic = unique("t")
    async with Admin(**BOOTSTRAP) as admin:
        answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        equal([code for _, code, *_ in answer.topic_errors], [0])
    return topic


async def take(reader, count, timeout=8):
    found, end = [], time.monotonic() + timeout
    while len(found) < count and time.monotonic() < end:
        for records in (await reader.getmany(timeout_ms=100)).values():
            found += records
    equal(len(found), count, "records")
    return found


async def read(topic, count, partitions=(0,), **options):
    """The topic from its beginning, its partitions assigned by hand."""
    async with consumer(**options) as reader:
        reader.assign([TopicPartition(topic, partition) for partition in partitions])
        return await take(reader, count)


async def until(what, probe, timeout=10):
    end = time.monotonic() + timeout
    while not await probe():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        await asyncio.sleep(0.02)


async def refused(kind, operation):
    try:
        await operation
    except kind:
        return
    raise AssertionError(f"it succeeded, instead of {kind.__name__}")


for acks in (1, "all"):

    @async_case(f"acks = {acks}: key, value, headers, timestamp, null and empty")
    async def _(opened):
        topic, send = await create(), await opened(producer(acks=acks))
        first = await send.send_and_wait(topic, b"\x00\xff", b"\xff\x00", timestamp_ms=NOW, headers=[("h", b"1"), ("h", b"\xff")])
        equal((first.topic, first.partition, first.offset, first.timestamp), (topic, 0, 0, NOW))
        equal((await send.send_and_wait(topic, None, b"k")).offset, 1)
        equal((await send.send_and_wait(topic, b"", b"")).offset, 2)
        records = await read(topic, 3)
        equal([(r.offset, r.key, r.value) for r in records], [(0, b"\xff\x00", b"\x00\xff"), (1, b"k", None), (2, b"", b"")])
        equal((list(records[0].headers), records[0].timestamp), ([("h", b"1"), ("h", b"\xff")], NOW))


@async_case("acks = 0")
async def _(opened):
    topic, send = await create(), await opened(producer(acks=0))
    for index in range(100):
        await send.send_and_wait(topic, str(index).encode())
    equal([int(r.value) for r in await read(topic, 100)], list(range(100)))


for codec in (None, "gzip", "snappy", "lz4", "zstd"):

    @async_case(f"5,000 records, {codec}: read as they were written")
    async def _(opened):
        topic, send = await create(), await opened(producer(compression_type=codec, linger_ms=5))
        values = [f"{index} {'abcdefgh' * 10}".encode() for index in range(5_000)]
        sent = [await send.send(topic, value) for value in values]
        equal([each.offset for each in await asyncio.gather(*sent)], list(range(5_000)))
        equal([r.value for r in await read(topic, 5_000)], values)


@async_case("idempotent: two producers, 4 partitions, each in order and once")
async def _(opened):
    topic = await create(4)
    senders = [await opened(producer(enable_idempotence=True)) for _ in range(2)]
    sent = []
    for index in range(400):
        for which, send in enumerate(senders):
            sent.append(await send.send(topic, f"{which} {index}".encode(), partition=index % 4))
    await asyncio.gather(*sent)
    records = await read(topic, 800, range(4))
    for partition in range(4):
        for which in "01":
            mine = [r.value.decode().split() for r in records if r.partition == partition]
            equal([int(index) for name, index in mine if name == which], list(range(partition, 400, 4)))


@async_case("a value above max.message.bytes is refused, and the next is stored")
async def _(opened):
    topic, send = await create(), await opened(producer(max_request_size=3_000_000))
    await refused(errors.MessageSizeTooLargeError, send.send_and_wait(topic, b"x" * 1_500_000))
    equal((await send.send_and_wait(topic, b"after")).offset, 0)


@async_case("offsets: beginning, end, by time, position, seek; a waiting reader is woken")
async def _(opened):
    topic, send = await create(), await opened(producer())
    for index in range(5):
        await send.send_and_wait(topic, str(index).encode(), timestamp_ms=NOW + index * 1000)
    here, reader = TopicPartition(topic, 0), await opened(consumer(fetch_max_wait_ms=5_000))
    reader.assign([here])
    equal((await reader.beginning_offsets([here]), await reader.end_offsets([here])), ({here: 0}, {here: 5}))
    found = (await reader.offsets_for_times({here: NOW + 1500}))[here]
    equal((found.offset, found.timestamp), (2, NOW + 2000))
    equal(await reader.offsets_for_times({here: NOW + 10_000}), {here: None})
    reader.seek(here, 3)
    equal([r.value for r in await take(reader, 2)], [b"3", b"4"])
    equal(await reader.position(here), 5)
    waiting = asyncio.ensure_future(reader.getone())
    await asyncio.sleep(0.5)
    start = time.monotonic()
    await send.send_and_wait(topic, b"5")
    equal((await waiting).value, b"5")
    equal(time.monotonic() - start < 2, True, "woken in time")


class Listener(ConsumerRebalanceListener):
    def __init__(self):
        self.events = []

    async def on_partitions_revoked(self, revoked):
        self.events.append(("revoked", sorted(p.partition for p in revoked)))

    async def on_partitions_assigned(self, assigned):
        self.events.append(("assigned", sorted(p.partition for p in assigned)))


for name, assignor in (("round robin", RoundRobinPartitionAssignor), ("sticky", StickyPartitionAssignor)):

    @async_case(f"{name}: two members share 6 partitions, one leaves and the other goes on, every record is read")
    async def _(opened):
        topic, group, send, found = await create(6), unique("g"), await opened(producer()), [[], []]

        async def fill(word):
            for index in range(60):
                await send.send_and_wait(topic, f"{word} {index}".encode(), partition=index % 6)

        def has_read(word):
            async def probe():
                return {f"{word} {index}".encode() for index in range(60)} <= set(found[0] + found[1])

            return probe

        async def run(which, member):
            async for record in member:
                found[which].append(record.value)

        async def join(which):
            member = consumer(group_id=group, partition_assignment_strategy=[assignor], auto_commit_interval_ms=100)
            listener = Listener()
            member.subscribe([topic], listener=listener)
            await opened(member)
            return member, listener, asyncio.ensure_future(run(which, member))

        def has(*counts):
            async def probe():
                return [len(member.assignment()) for member, *_ in members] == list(counts)

            return probe

        members = [await join(0)]
        await fill("first")
        await until("the first reads all", has_read("first"))
        members.append(await join(1))
        await until("three each", has(3, 3))
        await asyncio.sleep(0.1)  # A listener is told after the assignment can be seen.
        shares = [sorted(p.partition for p in member.assignment()) for member, *_ in members]
        equal(sorted(shares[0] + shares[1]), list(range(6)), "each partition once")
        equal(members[0][1].events[-2:], [("revoked", list(range(6))), ("assigned", shares[0])])
        before = [len(each) for each in found]
        await fill("both")
        await until("both read", has_read("both"))
        equal([len(each) - count >= 30 for each, count in zip(found, before)], [True, True], "each has its half")
        gone, _, task = members.pop(0)
        await gone.stop()
        await task
        await until("all to the other", has(6))
        await fill("last")
        await until("the other reads alone", has_read("last"))
        equal(len(set(found[0] + found[1])), 180)


@async_case("commits by hand, with metadata; the next member goes on behind them; autocommit")
async def _(opened):
    topic, group, send = await create(), unique("g"), await opened(producer())
    here = TopicPartition(topic, 0)
    for index in range(10):
        await send.send_and_wait(topic, str(index).encode())
    async with consumer(topic, group_id=group, enable_auto_commit=False) as first:
        await take(first, 10)
        equal(await first.committed(here), None, "nothing by itself")
        await first.commit({here: (6, "six")})
        equal(await first.committed(here), 6)
    async with consumer(topic, group_id=group, auto_commit_interval_ms=100) as second:
        equal([r.value for r in await take(second, 4)], [b"6", b"7", b"8", b"9"])

        async def is_committed():
            return await second.committed(here) == 10

        await until("the commit", is_committed)


@async_case("static member: comes back without a rebalance of the other")
async def _(opened):
    topic, group = await create(4), unique("g")
    listeners = [Listener(), Listener()]

    async def join(name, listener):
        member = consumer(group_id=group, group_instance_id=name)
        member.subscribe([topic], listener=listener)
        return await opened(member)

    one, other = await asyncio.gather(join("i1", listeners[0]), join("i2", listeners[1]))

    async def is_shared():
        return len(one.assignment()) == len(other.assignment()) == 2

    await until("two each", is_shared)
    had, events = one.assignment(), len(listeners[1].events)
    await one.stop()
    back = await join("i1", Listener())

    async def is_back():
        return back.assignment() == had

    await until("its partitions", is_back)
    await asyncio.sleep(0.5)
    equal((len(listeners[1].events), len(other.assignment())), (events, 2), "the other")


@async_case("a topic by a regular expression; pause and resume")
async def _(opened):
    word, send = unique("re"), await opened(producer())
    await send.send_and_wait(f"{word}-a", b"1")
    await send.send_and_wait(f"other-{word}", b"2")
    reader = consumer(group_id=unique("g"), metadata_max_age_ms=300)
    reader.subscribe(pattern=f"^{word}-")
    await opened(reader)
    equal([r.value for r in await take(reader, 1)], [b"1"])
    reader.pause(TopicPartition(f"{word}-a", 0))
    await send.send_and_wait(f"{word}-a", b"3")
    equal(await reader.getmany(timeout_ms=500), {}, "paused")
    reader.resume(TopicPartition(f"{word}-a", 0))
    equal([r.value for r in await take(reader, 1)], [b"3"])
    await send.send_and_wait(f"{word}-b", b"4")
    equal([r.value for r in await take(reader, 1)], [b"4"], "a topic that came later")


@async_case("administration: topics, partitions, configurations, records, groups")
async def _(opened):
    admin, send, topic, group = await opened(Admin(**BOOTSTRAP)), await opened(producer()), await create(2), unique("g")
    equal(topic in await admin.list_topics(), True)
    again = await admin.create_topics([NewTopic(topic, 1, 1)])
    equal(again.topic_errors[0][1], errors.TopicAlreadyExistsError.errno)
    await admin.create_partitions({topic: NewPartitions(4)})
    (described,) = await admin.describe_topics([topic])
    equal([p["partition"] for p in sorted(described["partitions"], key=lambda p: p["partition"])], [0, 1, 2, 3])
    cluster = await admin.describe_cluster()
    equal([f"{b['host']}:{b['port']}" for b in cluster["brokers"]], [BOOTSTRAP["bootstrap_servers"]])

    async def config(name):
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: None})])
        (resource,) = answer.resources
        return [entry[1] for entry in resource[4] if entry[0] == name]

    equal(await config("cleanup.policy"), ["delete"])
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": "compact"})])
    equal(await config("cleanup.policy"), ["compact"])
    here = TopicPartition(topic, 0)
    for index in range(10):
        await send.send_and_wait(topic, str(index).encode(), b"k", partition=0)
    equal(await admin.delete_records({here: RecordsToDelete(before_offset=6)}), {here: 6})
    async with consumer(topic, group_id=group, client_id="c1", enable_auto_commit=False) as reader:
        await take(reader, 4)
        await reader.commit({here: 8})
        (answer,) = await admin.describe_consumer_groups([group])
        state, members = answer.groups[0][2], answer.groups[0][5]
        equal((state, [member[1] for member in members]), ("Stable", ["c1"]))
    equal((group, "consumer") in await admin.list_consumer_groups(), True)
    equal((await admin.list_consumer_group_offsets(group))[here].offset, 8)
    await admin.delete_topics([topic])
    equal(topic in await admin.list_topics(), False)


@async_case("transactions are refused, at once")
async def _(opened):
    start = time.monotonic()
    await refused(errors.TransactionalIdAuthorizationFailed, opened(producer(transactional_id=unique("tx"))))
    equal(time.monotonic() - start < 3, True, "at once")


done()
