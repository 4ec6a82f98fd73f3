"""The operator's keys for providers."""

from __future__ import annotations

from pydantic import SecretStr

from shared.settings import Settings
from workers.asking.provider import Provider


def key_of(kind: type[Provider], settings: Settings) -> str | None:
    """The key for a provider of this class: the values of its `key_settings`, joined by `:`.

    None if one of them is not set, or if the provider takes no key.
    """
    parts = [getattr(settings, setting) for setting in kind.key_settings]
    if not parts or None in parts:
        return None
    return ":".join(part.get_secret_value() if isinstance(part, SecretStr) else part for part in parts)
