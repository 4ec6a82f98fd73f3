"""StreamReader: a consumer group over streams, on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from launcher.ports import free_port
from shared.bus import Bus, Entry, StreamReader, open_redis
from shared.channels import Channels
from shared.envelope import pack_draft
from shared.errors import BusError
from shared.settings import Settings

SERVICES = ("news", "market_data")


@dataclass
class Streams:
    """A bus, and readers of what it keeps."""

    redis: Redis
    channels: Channels

    @property
    def bus(self) -> Bus:
        return Bus(self.redis, self.channels, 1000)

    def reader(self, group: str = "recorder") -> StreamReader:
        """One more, as another process would have it."""
        return self.bus.stream_reader(SERVICES, group, "recorder")

    async def publish(self, service: str, count: int) -> None:
        """That many updates."""
        bus = self.bus
        for number in range(count):
            await bus.publish(service, {"n": number})


@pytest.fixture
async def streams(settings: Settings) -> AsyncIterator[Streams]:
    redis = open_redis(settings)
    yield Streams(redis, Channels(settings.redis_prefix))
    await redis.aclose()


async def drain(reader: StreamReader, entries: int, count: int = 100) -> list[Entry]:
    """Read until that many entries have come."""
    found: list[Entry] = []
    while len(found) < entries:
        found += await reader.read(count)
    return found


def seqs(entries: list[Entry], service: str = "news") -> list[int]:
    """Positions of a service's entries, in the order in which they came."""
    return [entry.envelope.seq for entry in entries if entry.service == service and entry.envelope]


async def test_it_begins_with_the_oldest_and_keeps_order(streams: Streams) -> None:
    """Also with what was published before any reader; each service in its own order, `count` of each at once."""
    await streams.publish("news", 5)
    await streams.publish("market_data", 3)
    reader = streams.reader()
    assert await reader.read(2) == []  # nothing is unacknowledged
    first = await reader.read(2)
    assert (seqs(first), seqs(first, "market_data")) == ([1, 2], [1, 2])
    rest = await drain(reader, 4)
    assert (seqs(rest), seqs(rest, "market_data")) == ([3, 4, 5], [3])


async def test_what_is_acknowledged_does_not_come_again(streams: Streams) -> None:
    """The next reader begins with the rest of what its predecessor had, in as many reads as that takes."""
    await streams.publish("news", 10)
    entries = await drain(streams.reader(), 10)
    await streams.reader().acknowledge(entries[:3])
    successor = streams.reader()
    assert seqs(await successor.read(4)) == [4, 5, 6, 7]
    assert seqs(await successor.read(4)) == [8, 9, 10]
    await streams.publish("news", 1)
    assert seqs(await drain(successor, 1)) == [11]


async def test_rewound_it_gives_what_was_not_acknowledged(streams: Streams) -> None:
    """As after an answer that got lost."""
    await streams.publish("news", 3)
    reader = streams.reader()
    entries = await drain(reader, 3)
    await reader.acknowledge(entries[:1])
    reader.rewind()
    assert seqs(await reader.read(10)) == [2, 3]


async def test_each_group_reads_everything(streams: Streams) -> None:
    """One does not take from the other."""
    await streams.publish("news", 3)
    for group in ("recorder", "another"):
        assert seqs(await drain(streams.reader(group), 3)) == [1, 2, 3]


async def test_a_stream_made_anew_is_read_from_its_start(streams: Streams) -> None:
    """A new epoch deletes the stream, and the group with it."""
    await streams.publish("news", 2)
    reader = streams.reader()
    await reader.acknowledge(await drain(reader, 2))
    await streams.redis.delete(streams.channels.stream("news"), streams.channels.meta("news"))
    await streams.publish("news", 3)
    assert seqs(await drain(reader, 3)) == [1, 2, 3]


async def test_an_entry_that_was_trimmed_since_has_no_envelope(streams: Streams) -> None:
    """It has its id, so that it can be acknowledged, and no fault: it was one of ours."""
    await streams.publish("news", 3)
    await drain(streams.reader(), 3)
    await streams.redis.xtrim(streams.channels.stream("news"), maxlen=1, approximate=False)
    reader = streams.reader()
    entries = await reader.read(10)
    assert [(entry.envelope is None, entry.fault) for entry in entries] == [(True, None), (True, None), (False, None)]
    await reader.acknowledge(entries)
    assert await streams.reader().read(10) == []


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"m": b"\xc1"}, "not MessagePack"),
        ({"other": b"x"}, "not MessagePack"),
        ({"m": pack_draft("market_data", {}, "now") + b"\xa5epoch\xa1e\xa3seq\x01"}, "it is one of 'market_data'"),
    ],
)
async def test_a_foreign_entry_says_what_is_wrong_with_it(
    streams: Streams, fields: dict[str | bytes, bytes], fault: str
) -> None:
    """Its id is there to be acknowledged."""
    id_ = await streams.redis.xadd(streams.channels.stream("news"), {**fields})
    (entry,) = await drain(streams.reader(), 1)
    assert (entry.service, entry.id, entry.envelope) == ("news", id_, None)
    assert entry.fault is not None
    assert fault in entry.fault


async def test_the_oldest_is_what_the_stream_begins_with(streams: Streams) -> None:
    """None while there is none."""
    reader = streams.reader()
    assert await reader.oldest("news") is None
    await streams.publish("news", 5)
    await streams.redis.xtrim(streams.channels.stream("news"), maxlen=2, approximate=False)
    assert await reader.oldest("news") == 4


async def test_without_redis_every_method_is_a_bus_error(settings: Settings) -> None:
    """Whoever reads tries again."""
    redis = open_redis(Settings(_env_file=None, redis_url=f"redis://127.0.0.1:{free_port()}"))
    reader = Bus(redis, Channels("x"), 10).stream_reader(SERVICES, "g", "c")
    for call in (reader.read(1), reader.acknowledge([Entry("news", b"1-0", None)]), reader.oldest("news")):
        with pytest.raises(BusError):
            await call
    await reader.acknowledge([])
    await redis.aclose()
