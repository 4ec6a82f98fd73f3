"""Every figure that may outlive its update has a bound, of a pool that exists, and no source gives it for longer."""

from __future__ import annotations

import importlib
import importlib.util

import msgspec.inspect as inspect
import pytest

from shared.catalog import SERVICES
from tests.project.test_reference import fields, sources_by_pool
from workers.asking.bounds import Bound, Figures, span

ASKED_ANEW = {"whale_tracking", "rpc_nodes", "health_checker", "pool_manager", "scheduler", "persistence"}
"""Services that repeat no figure: what they publish was asked for its update."""
ELSEWHERE = {"sentiment", "sentiment.model", "chains.bitcoin", "chains.bitcoin.fees", "chains.ethereum"}
"""May be null, and are no figures of a pool: groups of figures, and what `news` has been read with."""


def figures_of(service: str) -> Figures:
    """What its `figures.py` states."""
    found: Figures = importlib.import_module(f"workers.services.{service}.figures").FIGURES
    return found


def test_a_service_states_its_bounds_or_keeps_nothing() -> None:
    """A new service has a `figures.py`, or its line here."""
    stated = {name for name in SERVICES if importlib.util.find_spec(f"workers.services.{name}.figures")}
    assert stated == set(SERVICES) - ASKED_ANEW


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ASKED_ANEW))
def test_every_figure_that_may_be_null_has_a_bound(service: str) -> None:
    """None is published for ever; and bounds are of fields and pools that exist, each with a source."""
    figures, pools = figures_of(service), sources_by_pool(service)
    payload = dict(fields(inspect.type_info(SERVICES[service].payload), ""))
    may_be_null = {path for path, nullable in payload.items() if nullable}
    assert may_be_null - ELSEWHERE <= set(figures), "no bound in figures.py"
    for path, bounds in figures.items():
        assert path in payload or f"{path.rpartition('.')[0]}.*" in payload, path
        assert bounds, path
        for bound in bounds:
            assert pools[bound.pool], bound
            assert 0 < bound.longest <= (bound.day or 7 * 86_400), bound


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30 s"), (90, "90 s"), (120, "2 min"), (900, "15 min"), (3600, "1 h"), (5400, "90 min"), (86_400, "24 h")],
)
def test_spans_are_in_units_that_people_use(seconds: float, text: str) -> None:
    """The largest that fits; a day is 24 h."""
    assert span(seconds) == text
    assert span(3 * 86_400) == "3 days"
    assert Bound("pool", seconds).day is None
