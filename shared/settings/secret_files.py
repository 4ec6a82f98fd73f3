"""Settings from files, such as Docker's and Compose's secrets and mounted volumes: one setting per file.

A file has the name of its setting in lower case (`redis_url`), and holds only the value, in UTF-8. Trailing newlines
are dropped, since editors and `echo` add one. An empty file counts as not set, like an empty variable.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from shared.errors import SettingsError


class SecretFiles(PydanticBaseSettingsSource):
    """A source for pydantic-settings. It looks only for settings that the sources before it don't have.

    Later folders take precedence; a missing folder counts as empty. pydantic-settings has a source for such files, but
    it warns about missing folders, which are normal outside of containers; silently uses the default if a file can't
    be used; and drops spaces that may belong to a password.
    """

    def __init__(self, settings: type[BaseSettings], folders: Sequence[Path]) -> None:
        super().__init__(settings)
        self._folders = [folder for folder in reversed(folders) if _is_there(folder)]

    def __call__(self) -> dict[str, Any]:
        """The value of each setting that has a file. Raises SettingsError that names each unusable one."""
        found, faults = {}, []
        for name, field in self.settings_cls.model_fields.items():
            if name in self.current_state:
                continue
            try:
                value, _, _ = self.get_field_value(field, name)
            except SettingsError as error:
                faults.append(f"{name.upper()}: {error}")
            else:
                if value is not None:
                    found[name] = value
        if faults:
            raise SettingsError("; ".join(faults))
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """The text of a setting's file, or None; its name; and False, because the text is not JSON."""
        texts = (_text(folder / field_name) for folder in self._folders)
        return next((text for text in texts if text), None), field_name, False


def _is_there(folder: Path) -> bool:
    """Whether the folder exists. It is never listed: a folder of secrets need not be listable."""
    try:
        os.stat(f"{folder}/.")  # `/.` needs the permission to open files in it, which `stat` of the folder does not
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SettingsError(f"{folder}: can't be read ({type(error).__name__})") from None
    return True


def _text(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # If a file to mount is missing, Docker creates a folder in its place. Ignoring that would silently use the
            # default: for example, the wrong database.
            raise SettingsError(f"{path} is not a file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:  # a UnicodeError contains the text, which must not be shown
        raise SettingsError(f"{path} can't be read ({type(error).__name__})") from None
    return text.rstrip("\r\n")
