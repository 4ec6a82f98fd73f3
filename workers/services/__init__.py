"""The services that a worker can run. A new one is its file here and its line in SERVICES_CODE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from shared.payloads import Payload
from shared.settings import Settings
from workers.fetch import Fetcher

OnFailover = Callable[[str, str | None, str | None, str], None]
"""Called as (pool, source before, source now, reason) when a pool's active source changes; None stands for nobody."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a worker gives to each service it makes."""

    settings: Settings
    fetcher: Fetcher
    on_failover: OnFailover


class Service(Protocol):
    """One service: asks its pools and makes its payload."""

    async def collect(self, now: float, deadline: float) -> Payload:
        """The payload of one cycle: `now` in unix seconds, done within `deadline` seconds.

        Raises NoSourceError where nothing at all is known, and BusError where Redis can't count calls.
        """
        ...


SERVICES_CODE: dict[str, str] = {
    "market_data": "workers.services.market_data:MarketDataService",
}
"""Name in the catalogue → "module:Class". The class has `create(context)`."""


def load_service(name: str, context: ServiceContext) -> Service:
    """A new service `name`. KeyError where it has no code yet."""
    module, _, attribute = SERVICES_CODE[name].partition(":")
    service: Service = getattr(import_module(module), attribute).create(context)
    return service
