"""The bus: publish in one Lua call, subscribe without gaps or duplicates."""

from shared.bus.bus import Bus, LastPublish
from shared.bus.client import REDIS_FAULTS, open_redis
from shared.bus.position import Gap, Position, began
from shared.bus.stream_reader import Entry, StreamReader
from shared.bus.subscription import Deliver, Subscription

__all__ = [
    "REDIS_FAULTS",
    "Bus",
    "Deliver",
    "Entry",
    "Gap",
    "LastPublish",
    "Position",
    "StreamReader",
    "Subscription",
    "began",
    "open_redis",
]
