"""Settings from files, as Docker's and Compose's secrets and mounted volumes hold them: one setting a file.

A file is named like its setting, in lower case (`redis_url`), and holds its value in UTF-8. Newlines at its end are
dropped, since editors and `echo` add one; nothing else is. An empty file counts as not set, as an empty variable does.
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
    """The source that pydantic-settings asks after others: what these have already is not looked for.

    Of two folders the later one wins. One that is not there is empty. pydantic-settings has a source of its own for
    such files, but it warns of folders that are missing, which is the rule outside of containers; ignores a file that
    can't be used, so that a default takes its place unseen; and drops spaces that may belong to a password.
    """

    def __init__(self, settings: type[BaseSettings], folders: Sequence[Path]) -> None:
        super().__init__(settings)
        self._folders = [folder for folder in reversed(folders) if _is_there(folder)]

    def __call__(self) -> dict[str, Any]:
        """The value of each setting that has a file. Raises SettingsError that names all whose file can't be used."""
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
        """Text of the file of one setting, None where there is none; the name; and that the text is no JSON."""
        texts = (_text(folder / field_name) for folder in self._folders)
        return next((text for text in texts if text), None), field_name, False


def _is_there(folder: Path) -> bool:
    """Whether files can be looked for in it. A folder of secrets need not be listable, so it is never listed."""
    try:
        os.stat(f"{folder}/.")  # which needs the permission to look for files in it, as `stat` of itself does not
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SettingsError(f"{folder}: can't be read ({type(error).__name__})") from None
    return True


def _text(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # Docker makes a folder where a file that it should mount is missing. To ignore it would be to run with
            # the default: say, a cluster that keeps its history in the wrong database.
            raise SettingsError(f"{path} is not a file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:  # a UnicodeError holds what was read: it must not be shown
        raise SettingsError(f"{path} can't be read ({type(error).__name__})") from None
    return text.rstrip("\r\n")
