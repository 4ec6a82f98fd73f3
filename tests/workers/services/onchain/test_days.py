"""Figures of whole days: one that stopped long ago is refused, whichever source gives it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ProviderError
from workers.answers import ActiveAddresses
from workers.services.onchain.days import Dated, addresses_of

NOW = 1_795_435_200.0
DAY = 86_400.0


class Stopped:
    """A source whose newest day began some days ago."""

    name = "chart"

    def __init__(self, days: float) -> None:
        self._day = NOW - days * DAY

    async def active_addresses(self, ask: Any, chain: str) -> ActiveAddresses:
        return ActiveAddresses(chain=chain, day=self._day, count=571_230, series="n-unique-addresses")


@pytest.mark.parametrize(
    ("days", "fits"), [(0.5, True), (1.5, True), (3.0, True), (3.1, False), (240.0, False), (-2.0, False)]
)
async def test_the_newest_day_is_recent(days: float, fits: bool) -> None:
    """It began at most three days ago, and is not in the future; else the source has failed, and the next is asked."""
    question = addresses_of("bitcoin")
    if fits:
        assert await question(Stopped(days), None, NOW) == Dated(571_230, NOW - days * DAY)  # type: ignore[arg-type]
        return
    with pytest.raises(ProviderError, match="n-unique-addresses: newest point is"):
        await question(Stopped(days), None, NOW)  # type: ignore[arg-type]
