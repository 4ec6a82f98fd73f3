"""Settings: what an operator may set, where it is read from, and what it means."""

from shared.settings.retention import Retention
from shared.settings.settings import SECRET_FOLDERS, Group, Settings, load_settings

__all__ = ["SECRET_FOLDERS", "Group", "Retention", "Settings", "load_settings"]
