"""The database: the recorder stores every update in it; history, exports and backups read it."""

from shared.database.database import Database, open_database
from shared.database.record import Record, SortKey

__all__ = ["Database", "Record", "SortKey", "open_database"]
