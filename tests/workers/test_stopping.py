"""How a worker ends."""

from __future__ import annotations

from structlog.testing import capture_logs

from shared.bus import open_redis
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import Payload
from shared.settings import Settings
from workers.worker import Worker


class Broken:
    """A service whose work between its cycles fails."""

    pools = ()

    async def collect(self, now: float, deadline: float) -> Payload:
        raise NoSourceError("news", [])

    async def run(self) -> None:
        raise ZeroDivisionError("a bug")


async def test_a_worker_whose_resident_dies_ends_with_status_1(settings: Settings) -> None:
    """What a service does between its cycles is not left dead: the process says why and goes, and gives its lease
    back."""
    worker = Worker(settings, "system")  # which has no services of its own
    worker.add("persistence", Broken())
    with capture_logs() as logs:
        assert await worker.run() == 1
    (line,) = (line for line in logs if line["log_level"] == "critical")
    assert (line["task"], str(line["exc_info"])) == ("residents", "a bug")
    redis = open_redis(settings)
    assert await redis.get(Channels(settings.redis_prefix).lease("system")) is None
    await redis.aclose()
