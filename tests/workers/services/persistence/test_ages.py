"""Retention: which records are too old, whatever the clocks say. On SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from shared.database import Database, Record
from workers.services.persistence.ages import Gaps, oldest_kept

DAY = 86_400_000
HOUR = 3_600_000
NOW = 1_795_435_200_000
YEAR = 365 * DAY


async def hourly(database: Database, times: Iterable[int], service: str = "news") -> None:
    """One record at each of `times`."""
    rows = [Record(service, "e", seq, at, "{}") for seq, at in enumerate(times)]
    await database.insert(rows)


async def kept(database: Database, now: int, days: float = 7.0) -> int:
    """Records that retention keeps."""
    before = await oldest_kept(database, days, now, Gaps())
    return await database.count("news", first=before)


async def test_with_a_right_clock_ages_are_times(database: Database) -> None:
    """Exactly the records of the last days are kept."""
    await hourly(database, range(NOW - 9 * DAY, NOW + 1, HOUR))
    assert await oldest_kept(database, 7.0, NOW, Gaps()) == NOW - 7 * DAY
    assert await oldest_kept(database, 0.5, NOW, Gaps()) == NOW - DAY // 2
    assert await oldest_kept(database, 11.0, NOW, Gaps()) is None


@pytest.mark.parametrize("ahead", [2 * DAY, 30 * DAY, YEAR, 30 * YEAR])
async def test_a_clock_far_ahead_deletes_a_day_early_at_most(database: Database, ahead: int) -> None:
    """That of the recorder alone, or of workers too, which then record with times ahead; after a restart as well."""
    await hourly(database, range(NOW - 9 * DAY, NOW + 1, HOUR))
    assert await oldest_kept(database, 7.0, NOW + ahead, Gaps()) == NOW - 6 * DAY
    await hourly(database, range(NOW + ahead, NOW + ahead + DAY + 1, HOUR), "market_data")
    assert await oldest_kept(database, 7.0, NOW + ahead + DAY, Gaps()) == NOW - 5 * DAY
    assert await oldest_kept(database, 1.0, NOW + ahead, Gaps()) == NOW - DAY // 2 + 1


async def test_a_clock_that_is_set_right_again_keeps_all(database: Database) -> None:
    """What was recorded with times ahead is not older than what comes after it."""
    await hourly(database, range(NOW - 6 * DAY, NOW + 1, HOUR))
    await hourly(database, range(NOW + YEAR, NOW + YEAR + DAY, HOUR), "market_data")
    assert await kept(database, NOW) == 6 * 24 + 1
    assert await oldest_kept(database, 2.0, NOW, Gaps()) == NOW - 2 * DAY


async def test_a_clock_that_is_behind_deletes_nothing(database: Database) -> None:
    """Not even where it begins at 1970, as without a battery."""
    await hourly(database, range(NOW - 9 * DAY, NOW + 1, HOUR))
    assert await oldest_kept(database, 7.0, 0, Gaps()) is None
    assert await oldest_kept(database, 7.0, NOW - 9 * DAY, Gaps()) is None


async def test_after_a_pause_of_the_cluster_records_go_as_new_ones_come(database: Database) -> None:
    """A month without records counts as a day; six days later all before it are gone."""
    await hourly(database, range(NOW - 37 * DAY, NOW - 30 * DAY + 1, HOUR))
    assert await kept(database, NOW) == 6 * 24 + 1
    await hourly(database, range(NOW, NOW + 6 * DAY + 1, HOUR), "market_data")
    assert await kept(database, NOW + 3 * DAY) == 3 * 24 + 1
    assert await kept(database, NOW + 6 * DAY) == 0


async def test_a_gap_is_logged_once(database: Database) -> None:
    """The operator learns that a clock may be wrong."""
    await hourly(database, [NOW])
    gaps = Gaps()
    with capture_logs() as logs:
        for _ in range(3):
            await oldest_kept(database, 7.0, NOW + YEAR, gaps)
    assert [(line["since"], line["days"]) for line in logs] == [("2026-11-23T12:00:00.000Z", 365.0)]
