"""Filter: what one client wants of the updates of one service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.catalog import FIELDS, SERVICES
from shared.payloads.fields import SIMULATED
from shared.payloads.filtering import Choice, Least

UNKNOWN = "unknown"
"""The field of a filtered `data` that names the values which it has nowhere. Absent if there are none."""

_Data = dict[str, Any]

_VALUE_BYTES = (
    150  # of memory that a value takes besides its characters: a string, and its places in a set and two lists
)


class Filter:
    """Which rows, entries and fields of a service's `data` remain. Immutable, and equal to all of the same effect."""

    __slots__ = ("_choices", "_fields", "_fingerprint", "_hash", "_key", "_leasts", "_shown", "service", "size")

    def __init__(self, service: str, values: Mapping[str, Sequence[str] | float]) -> None:
        """`values` by filter name; they are valid: see `gateway.filters.reading`."""
        self.service = service
        self._shown = {
            name: list(value) if isinstance(value, list | tuple) else value for name, value in values.items()
        }
        rules = {rule.name: rule for rule in SERVICES[service].payload.filters}
        self._choices: list[tuple[Choice, tuple[str, ...], frozenset[str]]] = []
        self._leasts: list[tuple[Least, float]] = []
        self._fields: tuple[str, ...] | None = None
        key: list[tuple[str, tuple[str, ...] | float]] = []
        for name, value in sorted(values.items()):
            rule = rules.get(name)
            if isinstance(value, int | float):
                assert isinstance(rule, Least)
                self._leasts.append((rule, float(value)))
                key.append((name, float(value)))
                continue
            cased = rule is None or (isinstance(rule, Choice) and rule.coins)
            wanted = tuple(sorted({item if cased else _plain(item) for item in value}))
            key.append((name, wanted))
            if name == FIELDS:
                self._fields = wanted
            else:
                assert isinstance(rule, Choice)
                self._choices.append((rule, wanted, frozenset(wanted)))
        self._key = (service, *key)
        self._hash = hash(self._key)
        self._fingerprint: bytes | None = None  # made when needed: that of a cursor never is
        lists = [value for value in self._shown.values() if isinstance(value, list)]
        self.size = sum(len(item) + _VALUE_BYTES for items in lists for item in items)
        """About how many bytes of memory its values take."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filter({self.service!r}, {self._shown!r})"

    @property
    def digest(self) -> str:
        """The same for equal filters, on every gateway, for ever: 16 hexadecimal digits for ETags and cursors."""
        return hashlib.blake2b(json.dumps(self._key).encode(), digest_size=8).hexdigest()

    @property
    def fingerprint(self) -> bytes:
        """The same for equal filters, and for no others: what caches know a filter by. 16 bytes, where a filter of
        500 values takes a hundred thousand."""
        if self._fingerprint is None:
            self._fingerprint = hashlib.blake2b(json.dumps(self._key).encode(), digest_size=16).digest()
        return self._fingerprint

    def as_dict(self) -> dict[str, Any]:
        """As the client gave it, in its order; every value once, and symbols of coins as their ids."""
        return {name: list(value) if isinstance(value, list) else value for name, value in self._shown.items()}

    def apply(self, data: _Data) -> _Data:
        """What remains of `data`, which itself stays as it is. A field of another type than its own is not filtered."""
        left = dict(data)
        unknown: list[str] = []
        shortened: set[str] = set()
        for rule, wanted, values in self._choices:
            found = _choose(rule, wanted, values, left)
            shortened.update(rule.rows)
            if rule.names_unknown:
                unknown += [value for value in wanted if value not in found]
        for least, number in self._leasts:
            shortened.update(least.rows)
            for name, of in least.rows.items():
                if isinstance(rows := left.get(name), list):
                    left[name] = [row for row in rows if isinstance(row, dict) and _reaches(row.get(of), number)]
        for again in SERVICES[self.service].payload.again if shortened else ():
            rows = left.get(again.rows)
            if again.name in left and again.rows in shortened and isinstance(rows, list):
                left[again.name] = again.count(rows, left[again.name])
        if self._fields is not None:
            left = {name: left[name] for name in self._fields if name in left}
        if unknown:
            left[UNKNOWN] = unknown
        return left


def _choose(rule: Choice, wanted: tuple[str, ...], values: frozenset[str], left: _Data) -> set[str]:
    """Leave in `left` what `rule` demands; returns which of the values occur in it."""
    found: set[str] = set()
    for name in rule.maps:
        entries = left.get(name)
        if not isinstance(entries, dict):
            continue
        if rule.coins:
            kept = {value: entries[value] for value in wanted if value in entries}
            if len(found) < len(wanted):
                found.update(kept)
        else:
            kept = {key: entry for key, entry in entries.items() if isinstance(key, str) and _plain(key) in values}
            found.update(_plain(key) for key in kept)
        left[name] = kept
    for name, of in rule.rows.items():
        if isinstance(rows := left.get(name), list):
            left[name] = [row for row in rows if isinstance(row, dict) and _belongs(row.get(of), values, found)]
    for name in rule.lists:
        if isinstance(items := left.get(name), list):
            left[name] = [item for item in items if _belongs(item, values, found)]
    return found


def _belongs(value: Any, values: frozenset[str], found: set[str]) -> bool:
    """Whether `value` is one of `values`, or a list that has one; those are added to `found`."""
    several = value if isinstance(value, list) else [value]
    hits = {_plain(each) for each in several if isinstance(each, str)} & values
    found |= hits
    return bool(hits)


def _plain(name: str) -> str:
    """A name as filters compare it: without case, and whether or not the simulator answered for it."""
    return name.removesuffix(SIMULATED).lower()


def _reaches(value: Any, number: float) -> bool:
    return type(value) in (int, float) and value >= number
