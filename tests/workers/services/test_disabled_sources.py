"""DISABLED_SOURCES: what an operator does not want to ask is asked by no service, and is no outage."""

from __future__ import annotations

import pytest

from shared.catalog import SERVICES
from shared.errors import SettingsError
from tests.workers.stage import Stage, is_node
from workers.providers import PROVIDERS
from workers.services import load_service


def test_a_disabled_source_is_in_no_pool(stage: Stage) -> None:
    """Of no service, whichever providers are disabled, and all others stay."""
    names = [name for name in PROVIDERS if not is_node(name)]
    for disabled in (names[::2], names[1::2]):
        for service in SERVICES:
            before, after = (
                {source.provider.name for pool in load_service(service, context).pools for source in pool.sources}
                for context in (stage.context(), stage.context(disabled_sources=tuple(disabled)))
            )
            assert after == before - set(disabled)


@pytest.mark.parametrize("name", ["coinmetric", "CoinMetrics", "ethereum_rpc", "ethereum/publicnode"])
def test_what_is_no_source_is_named(stage: Stage, name: str) -> None:
    """A misspelt name would disable nothing; nodes are chosen by RPC_NODES."""
    with pytest.raises(SettingsError, match=f"DISABLED_SOURCES.*{name}"):
        stage.context(disabled_sources=(name,))


async def test_a_disabled_source_is_no_outage(stage: Stage) -> None:
    """Its figures are null or another source's; nobody else is asked more often for it."""
    stage.open("onchain", disabled_sources=("coinmetrics",))
    for later in (0, 30, 30):
        data = await stage.collect(later, 24.0)
    assert data.chains["ethereum"].active_addresses is None
    assert data.active_addresses == data.chains["bitcoin"].active_addresses
    assert stage.asked["coinmetrics"] == 0
    assert stage.asked["defillama"] == 2
