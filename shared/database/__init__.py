"""The database: the recorder stores every update in it; history, exports and backups read it."""

from shared.database.candles import HOUR, MINUTE, is_coin_id
from shared.database.charts import Bar, ChartPage, Charts
from shared.database.database import Database, open_database
from shared.database.record import Record, SortKey

__all__ = [
    "HOUR",
    "MINUTE",
    "Bar",
    "ChartPage",
    "Charts",
    "Database",
    "Record",
    "SortKey",
    "is_coin_id",
    "open_database",
]
