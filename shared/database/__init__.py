"""The database: where a recorder keeps every update, and where history, exports and backups read them."""

from shared.database.database import Database, open_database
from shared.database.record import Record, SortKey

__all__ = ["Database", "Record", "SortKey", "open_database"]
