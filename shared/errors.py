"""The one exception tree. Whatever coinwire raises on purpose descends from `CoinwireError`."""

from __future__ import annotations


class CoinwireError(Exception):
    """Any error that coinwire raises on purpose."""


class SettingsError(CoinwireError):
    """The environment holds a setting that can't be used. The message is one readable line without secrets."""


class EnvelopeError(CoinwireError):
    """Bytes read from Redis are not a coinwire message."""


class BusError(CoinwireError):
    """Redis could not be reached, or answered something that makes no sense."""


class FencedError(BusError):
    """A publish was refused because another holder took the lease since: this process must stop publishing."""


class DatabaseError(CoinwireError):
    """The database could not be reached, or refused. The message names it without its password."""


class NothingStoredError(DatabaseError):
    """The database has no tables of ours yet: no recorder has ever written to it."""


class ProviderError(CoinwireError):
    """One upstream did not give a usable answer.

    `provider` is its name in `PROVIDERS`; `field` is the JSON path of the value that was wrong, where one was;
    `retry_after` is the pause in seconds that the upstream itself asked for, where it did.
    Neither the message nor the attributes ever hold a key: URLs are not part of them.
    """

    def __init__(
        self, provider: str, reason: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        self.provider = provider
        self.reason = reason
        self.field = field
        self.retry_after = retry_after
        super().__init__(f"{provider}: {reason}" + (f" (field {field})" if field else ""))


class RateBudgetError(ProviderError):
    """Our own budget for a provider is spent: it was not asked, and it is not at fault. `retry_after` says when."""


class NoSourceError(CoinwireError):
    """No provider of a pool gave an answer in this cycle. `errors` holds what each of them said, in the order asked."""

    def __init__(self, pool: str, errors: list[ProviderError]) -> None:
        self.pool = pool
        self.errors = errors
        said = "; ".join(str(error) for error in errors) or "every source is cooling down"
        super().__init__(f"{pool}: no source answered: {said}")
