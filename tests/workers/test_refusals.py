"""Answers that are not used are counted by kind, once; and the age of what is published is exported."""

from __future__ import annotations

import functools
import math
import time
from datetime import datetime
from typing import Any

import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry

from shared.errors import NoSourceError, ProviderError, RateBudgetError
from shared.metrics import WorkerMetrics
from shared.payloads import News
from shared.timestamps import iso
from tests.workers.asking.test_pool import Clock, Fetching, Source
from tests.workers.stage import Stage, leading
from workers.asking.jsonrpc import RpcError, result_of
from workers.asking.limits import LimitError, refusal
from workers.asking.parts import Part
from workers.asking.pool import SourcePool
from workers.asking.provider import StatusError, decode


class Row(Struct):
    """What an answer should be."""

    price: float


def raised(parse: Any, *arguments: Any) -> ProviderError:
    """The error of a parser."""
    with pytest.raises(ProviderError) as caught:
        parse(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised(decode, "acme", b'{"price": "x"}', Row), "shape"),
        (raised(decode, "acme", b'{"price": 1', Row), "not_json"),
        (raised(result_of, "acme", b'{"jsonrpc": "2.0", "id": 1, "result": 5}', str), "shape"),
        (StatusError("acme", 500), "status"),
        (StatusError("acme", 429), "limited"),
        (LimitError("acme", "asked too often"), "limited"),
        (RpcError("acme", -32000, "header not found"), "error"),
        (RpcError("acme", -32005, "rate limit exceeded"), "limited"),
        (refusal("acme", "error in the answer: no such coin", "no such coin"), "error"),
        (ProviderError("acme", "on chain 5 instead of 1"), "unfit"),
        (ProviderError("acme", "behind", kind="stale"), "stale"),
    ],
)
def test_every_refused_answer_has_a_kind(error: ProviderError, kind: str) -> None:
    """A limit is a limit, however it was told; a field that does not fit is a matter of shape."""
    assert error.kind == kind


@pytest.fixture
def registry() -> CollectorRegistry:
    """A new one."""
    return CollectorRegistry()


def refused(registry: CollectorRegistry, kind: str) -> float:
    """How many answers of acme."""
    return registry.get_sample_value("coinwire_provider_refusals_total", {"provider": "acme", "kind": kind}) or 0.0


def test_an_answer_is_counted_once(registry: CollectorRegistry) -> None:
    """The fetcher and the pool see the same error; a call that our own budget forbade is none."""
    metrics = WorkerMetrics(registry)
    error = StatusError("acme", 500)
    for told in (error, error, RateBudgetError("acme", "not asked"), StatusError("acme", 500)):
        metrics.refuse(told)
    assert refused(registry, "status") == 2


async def test_what_a_service_refuses_is_counted_too(registry: CollectorRegistry) -> None:
    """An answer with values that stopped passes the parser; the part that refuses it is behind a pool."""
    metrics, clock = WorkerMetrics(registry), Clock()
    pool: SourcePool[Source] = SourcePool(
        "pool", [Source("acme", clock)], Fetching(), clock=clock, on_refused=metrics.refuse
    )

    async def question(source: Source, ask: Any, now: float) -> str:
        return await source.answer(ask)

    now = 1_800_000_000.0
    part = Part(pool, question, refresh=10.0, keep=60.0, dated=lambda answer: now - 61)
    with pytest.raises(NoSourceError):
        await part.ask(now, 4.0)
    assert refused(registry, "stale") == 1


def test_the_ages_of_a_service_are_those_of_its_sources(registry: CollectorRegistry) -> None:
    """Of its newest and its oldest source; no number without an update, or while another worker leads."""
    metrics, as_of = WorkerMetrics(registry), dict[str, str]()
    metrics.watch_ages("news", lambda: as_of)

    def age(figure: str) -> float:
        return registry.get_sample_value("coinwire_figure_age_seconds", {"service": "news", "figure": figure}) or 0.0

    assert math.isnan(age("newest"))
    as_of |= {"a": iso(time.time() - 60), "b": iso(time.time() - 3600), "c": iso(time.time() - 7)}
    assert age("newest") == pytest.approx(7, abs=2)
    assert age("oldest") == pytest.approx(3600, abs=2)


async def test_a_worker_exports_the_ages_of_what_it_published(stage: Stage) -> None:
    """Of its last update of each service, while it leads; its notices name what they are about, with its moment."""
    async with leading(stage, "data_collection") as worker:
        moment = iso(time.time() - 90)
        await worker.publish(
            "news",
            News(
                articles=[], sources=["CoinDesk"], categories=[], timestamp=iso(time.time()), as_of={"CoinDesk": moment}
            ),
            worker.fence,
        )
        sample = functools.partial(worker._registry.get_sample_value, "coinwire_figure_age_seconds")
        assert sample({"service": "news", "figure": "newest"}) == pytest.approx(90, abs=5)
        assert math.isnan(sample({"service": "explorers", "figure": "newest"}) or 0.0)
        worker.tell_stale("news", 200.0)
        await worker.publish_notices()
        notice = await stage.context().bus.newest("system")
        assert notice is not None
        (about,) = notice.data["as_of"]
        assert about == "news"
        silent = datetime.fromisoformat(notice.data["timestamp"]) - datetime.fromisoformat(notice.data["as_of"]["news"])
        assert silent.total_seconds() == pytest.approx(200, abs=0.01)
