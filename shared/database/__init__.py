"""The database: where a recorder keeps every update, and where history, exports and backups read them."""

from shared.database.database import Database, open_database
from shared.database.record import Place, Record

__all__ = ["Database", "Place", "Record", "open_database"]
