"""persistence: the recorder, and figures of the database."""

from __future__ import annotations

from typing import Any

from shared.catalog import CHANNEL_NAMES
from shared.database import HOUR, MINUTE, open_database
from shared.errors import DatabaseError, NoSourceError, ProviderError
from shared.payloads import Persistence
from shared.timestamps import iso
from workers.asking.pool import SourcePool
from workers.services.persistence.recorder import GROUP, Recorder
from workers.services.service import Service, ServiceContext

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class PersistenceService(Service):
    """Records continuously; each cycle reads figures of the database."""

    pools: tuple[SourcePool[Any], ...] = ()

    def __init__(self, context: ServiceContext) -> None:
        """Opens nothing. Raises SettingsError if DATABASE_URL can't be used."""
        self._database = open_database(context.settings)
        reader = context.bus.stream_reader(CHANNEL_NAMES, GROUP, GROUP)
        settings = context.settings
        candle_days = {MINUTE: settings.minute_candles_days, HOUR: settings.hour_candles_days}
        self.recorder = Recorder(
            self._database, reader, settings.retention_days, context.metrics, candle_days=candle_days
        )
        context.metrics.storing.set_function(lambda: float(self.recorder.writing))
        context.metrics.expect_records()

    async def run(self) -> None:
        """See Resident."""
        await self.recorder.run()

    async def collect(self, now: float, deadline: float) -> Persistence:
        """See Service. Raises NoSourceError while the database can't be read."""
        try:
            totals = await self._database.totals()
            size = await self._database.size()
            saved = await self._database.last_save()
            unrecorded = await self._database.unrecorded()
        except DatabaseError as error:
            raise NoSourceError("persistence", [ProviderError("database", str(error))]) from None
        return Persistence(
            storage_location=self._database.location,
            total_records=sum(totals.values()),
            records_by_service=totals,
            storage_size=size_text(size),
            storage_bytes=size,
            last_save=None if saved is None else iso(saved),
            active_writers=int(self.recorder.writing),
            unrecorded=unrecorded,
            as_of={"database": iso(now)},
            timestamp=iso(now),
        )


def size_text(size: int) -> str:
    """A number of bytes as text: `2.5 GB`, in powers of a thousand."""
    number, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if round(number, 1) < 1000 or unit == _UNITS[-1]:  # 999,950 bytes are 1.0 MB, not 1000.0 kB
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == _UNITS[0] else f"{number:.1f} {unit}"
