"""What a filter may be about: the rules that stand at the payload types. Data only; `gateway.filters` applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A filter that lists values. What belongs to none of them is left out."""

    name: str
    words: str
    """What the values are."""
    maps: tuple[str, ...] = ()
    """Maps of `data` whose keys are such values."""
    rows: Mapping[str, str] = field(default_factory=dict)
    """Lists of `data`, and the field of their rows that has such a value, or a list of them."""
    lists: tuple[str, ...] = ()
    """Lists of `data` whose items are such values."""
    names_unknown: bool = False
    """Whether `data.unknown` names the values that `data` has nowhere."""
    coins: bool = False
    """Whether the values are coins: exact ids, for which symbols may stand. All others compare without case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """A filter that is a number from 0. Rows with less are left out."""

    name: str
    words: str
    """What the number is."""
    rows: Mapping[str, str]
    """Lists of `data`, and the field of their rows that has the figure."""


Rule = Choice | Least


@dataclass(frozen=True, slots=True)
class Again:
    """A figure of `data` that is counted again over what a filter has left of a list."""

    name: str
    rows: str
    """The list of `data`."""
    count: Callable[[list[Row], Any], Any]
    """Its value, from the rows that are left and the value that it had. Takes rows of any shape."""


def figures(rows: list[Row], name: str) -> Iterator[float]:
    """The field `name` of all rows that have a number there."""
    for row in rows:
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
