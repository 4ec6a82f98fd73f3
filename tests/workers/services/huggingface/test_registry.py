"""The registry by terms: one that fails costs its own list, is named, and its last list stands for a day."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from shared.errors import ProviderError, RateBudgetError
from workers.asking.limits import LimitError
from workers.asking.provider import Request
from workers.providers.huggingface import HuggingFace
from workers.services.huggingface.registry import TERMS, Registry, Sweep

T = TypeVar("T")
DAY = 86_400.0


class Hub:
    """An Ask: each list has one repository, named after kind, term and `version`; those in `broken` fail."""

    def __init__(self) -> None:
        self.broken: dict[str, list[Exception | bytes]] = {}
        """By list, the failures of its next requests; the last one for ever."""
        self.version = 1
        self.asked: list[str] = []

    async def __call__(self, request: Request[T]) -> T:
        address = urlsplit(request.path)
        kind, term = address.path.rpartition("/")[2], parse_qs(address.query)["search"][0]
        self.asked.append(f"{kind}:{term}")
        rows: Any = [{"id": f"{kind}/{term}-{self.version}", "downloads": 5, "private": False}]
        body = json.dumps(rows).encode()
        if failures := self.broken.get(f"{kind}:{term}"):
            failure = failures.pop(0) if len(failures) > 1 else failures[0]
            if isinstance(failure, Exception):
                raise failure
            body = failure
        answer = request.parse(body)
        assert request.complete is not None
        return request.complete(answer, httpx.Headers())


class Stage:
    def __init__(self) -> None:
        self.now = 1000.0
        self.hub = Hub()
        self.sweep = Sweep(lambda: self.now, DAY)

    async def read(self, later: float = 0.0) -> Registry:
        self.now += later
        return await self.sweep.ask(HuggingFace(), self.hub, self.now + 1e9)


def names(registry: Registry) -> list[str]:
    return [repo.name for repo in registry.models]


def fault() -> ProviderError:
    return ProviderError("huggingface", "HTTP 500")


@pytest.mark.parametrize("failure", [fault(), b"{}", b"[]", b"[null]", b'[{"id":"a/b"}]', b'[{"id":"a/b","downloa'])
async def test_a_term_that_fails_costs_its_own_list(failure: Exception | bytes) -> None:
    """The others' results stand, and the failed list is named."""
    stage = Stage()
    stage.hub.broken["models:bitcoin"] = [failure]
    registry = await stage.read()
    assert names(registry) == ["models/blockchain-1", "models/crypto-1", "models/ethereum-1"]
    assert len(registry.datasets) == len(TERMS)
    assert registry.failed == ("models:bitcoin",)


async def test_an_odd_row_costs_not_even_its_list() -> None:
    """An owner with an underscore, a row without downloads: the other rows of the page stand, nothing has failed."""
    stage = Stage()
    rows = b'[{"id":"_zed/bitcoin","downloads":3},{"id":"a/b"},{"id":"c/d","downloads":9}]'
    stage.hub.broken["models:bitcoin"] = [rows]
    registry = await stage.read()
    assert names(registry)[0] == "c/d"
    assert "_zed/bitcoin" in names(registry)
    assert registry.failed == ()


async def test_a_list_that_fails_once_is_read_at_once_again() -> None:
    """One broken answer of eight costs one more call."""
    stage = Stage()
    stage.hub.broken["datasets:crypto"] = [fault(), b'[{"id":"late/crypto","downloads":1,"private":false}]']
    registry = await stage.read()
    assert registry.failed == ()
    assert "late/crypto" in [repo.name for repo in registry.datasets]
    assert stage.hub.asked.count("datasets:crypto") == 2
    assert len(stage.hub.asked) == 9


@pytest.mark.parametrize("error", [LimitError("huggingface", "limited"), RateBudgetError("huggingface", "spent")])
async def test_a_limit_is_not_tried_again(error: ProviderError) -> None:
    """Whoever is asked too often is not asked more often."""
    stage = Stage()
    stage.hub.broken["models:crypto"] = [error]
    assert (await stage.read()).failed == ("models:crypto",)
    assert len(stage.hub.asked) == 8


async def test_the_last_list_stands_for_a_day() -> None:
    """The registry is as old as the oldest list in it; after a day that list is missing."""
    stage = Stage()
    assert (await stage.read()).as_of == stage.now + 1e9
    stage.hub.broken["models:bitcoin"] = [fault()]
    stage.hub.version = 2
    registry = await stage.read(3600)
    assert names(registry) == ["models/bitcoin-1", "models/blockchain-2", "models/crypto-2", "models/ethereum-2"]
    assert (registry.failed, registry.as_of) == (("models:bitcoin",), stage.now + 1e9 - 3600)
    registry = await stage.read(DAY - 3599)
    assert names(registry) == ["models/blockchain-2", "models/crypto-2", "models/ethereum-2"]
    assert (registry.failed, registry.as_of) == (("models:bitcoin",), stage.now + 1e9)
    stage.hub.broken.clear()
    assert len(names(await stage.read(900))) == 4


async def test_without_any_list_of_models_there_is_no_registry() -> None:
    """How many models there are can't be said then; earlier lists stand in for them."""
    stage = Stage()
    stage.hub.broken = {f"models:{term}": [fault()] for term in TERMS}
    with pytest.raises(ProviderError, match="HTTP 500"):
        await stage.read()
    stage.hub.broken.clear()
    await stage.read()
    stage.hub.broken = {f"models:{term}": [fault()] for term in TERMS}
    assert len(names(await stage.read(900))) == 4


async def test_a_hub_that_fails_whole_is_a_failure() -> None:
    """Eight calls and no more, though all lists are known: the pool has to know that the source is down."""
    stage = Stage()
    await stage.read()
    stage.hub.asked.clear()
    stage.hub.broken = {f"{kind}:{term}": [fault()] for kind in ("models", "datasets") for term in TERMS}
    with pytest.raises(ProviderError):
        await stage.read(900)
    assert len(stage.hub.asked) == 8


async def test_a_list_that_fails_is_logged_when_it_begins_and_ends() -> None:
    """Not with every sweep."""
    stage = Stage()
    with capture_logs() as logs:
        stage.hub.broken["models:bitcoin"] = [fault()]
        await stage.read()
        await stage.read(900)
        stage.hub.broken.clear()
        await stage.read(900)
        await stage.read(900)
    assert [(line["log_level"], line["list"]) for line in logs] == [
        ("warning", "models:bitcoin"),
        ("info", "models:bitcoin"),
    ]
