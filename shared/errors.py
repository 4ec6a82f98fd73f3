"""Every exception that coinwire raises on purpose. All of them descend from `CoinwireError`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Refusal = Literal[
    "connection",
    "empty",
    "error",
    "html",
    "limited",
    "not_json",
    "shape",
    "stale",
    "status",
    "timeout",
    "too_large",
    "unfit",
]
"""Kinds of reasons for which an upstream's answer is not used; docs/reference/metrics.md explains them."""


class CoinwireError(Exception):
    """Any error that coinwire raises on purpose."""


class SettingsError(CoinwireError):
    """A setting can't be used. The message is one line without secrets."""


class EnvelopeError(CoinwireError):
    """Bytes read from Redis are not a coinwire message."""


class BusError(CoinwireError):
    """Redis could not be reached, refused a command, or answered something unexpected."""


class UnconfirmedError(BusError):
    """Redis was asked to do something and did not answer: it may have happened or not."""


class FencedError(BusError):
    """A publish was refused because a newer holder has the lease. This process must stop publishing."""


class CoinListError(CoinwireError):
    """The list of coins in Redis is none of ours."""


class AmbiguousCoinError(CoinwireError):
    """A symbol that several coins have."""

    def __init__(self, name: str, ids: Sequence[str]) -> None:
        """`ids` are those of the coins with that symbol, the largest market value first."""
        self.ids = list(ids)
        super().__init__(f"{name} is the symbol of several coins: name one of their ids")


class DatabaseError(CoinwireError):
    """The database could not be reached, or refused a statement. The message has its address without the password."""


class NothingStoredError(DatabaseError):
    """The database has no tables of ours yet: no recorder has ever written to it."""


class ProviderError(CoinwireError):
    """An upstream gave no usable answer.

    `provider` is its name in `PROVIDERS`; `field` is the JSON path of the wrong value, if there is one;
    `retry_after` is the pause in seconds that the upstream asked for, if it did; `kind` is one of a few kinds of
    reasons. Neither the message nor the attributes contain a URL, and so no key.
    """

    limited: bool = False
    """Whether the upstream refused because it was asked too often, or because of who asks: it is up and well."""

    counted: bool = False
    """Whether it is in the metrics already: it passes several layers."""

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        kind: Refusal | None = None,
    ) -> None:
        """Without a `kind` it is `shape` if there is a field, else `unfit`. A limit is always `limited`."""
        self._kind = kind
        self.provider = provider
        self.reason = reason
        self.field = field
        self.retry_after = retry_after
        super().__init__(f"{provider}: {reason}" + (f" (field {field})" if field else ""))

    @property
    def kind(self) -> Refusal:
        """What kind of reason it is."""
        return "limited" if self.limited else self._kind or ("unfit" if self.field is None else "shape")


class RateBudgetError(ProviderError):
    """Our own budget for a provider is spent, so it was not called. `retry_after` is when it may be."""


class NoSourceError(CoinwireError):
    """No provider of a pool answered in this cycle. `errors` has the error of each, in the order asked."""

    def __init__(self, pool: str, errors: list[ProviderError]) -> None:
        self.pool = pool
        self.errors = errors
        said = "; ".join(str(error) for error in errors) or "every source is cooling down"
        super().__init__(f"{pool}: no source answered: {said}")
