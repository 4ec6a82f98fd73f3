"""Reading filters: from a command or an address, checked against what the service knows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import fields as fields_of

from gateway.filters.coins import Coins
from gateway.filters.filter import Filter
from gateway.messages.faults import Fault, echo, kind_of
from gateway.messages.filtering import FIELDS_WORDS, FILTERS, MAX_VALUE_CHARACTERS, MAX_VALUES, RULES
from shared.catalog import FIELDS, SERVICES
from shared.errors import AmbiguousCoinError
from shared.payloads.filtering import Choice, Least, Rule

_UNFIT_ESCAPED = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd"
_UNFIT = re.compile(rf"[{_UNFIT_ESCAPED}\ud800-\udfff]")
"""Control characters, those that turn the direction of text, and what damaged UTF-8 leaves: no name has them."""

VALUE_PATTERN = rf"^[^\s,{_UNFIT_ESCAPED}]([^,{_UNFIT_ESCAPED}]*[^\s,{_UNFIT_ESCAPED}])?$"
"""One value of a list in an address, as a regular expression for JSON Schema."""

_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")


def known_filters(service: str) -> dict[str, str]:
    """The filters of a service, with their types in words. `system` has none."""
    if service not in SERVICES:
        return {}
    rules = SERVICES[service].payload.filters
    return {rule.name: _type_of(rule) for rule in rules} | {FIELDS: f"a list of strings: {FIELDS_WORDS}"}


def known_fields(service: str) -> list[str]:
    """The names that `fields` of a service may have: those of the top level of its `data`."""
    return [field.encode_name for field in fields_of(SERVICES[service].payload)]


def read_filter(services: Sequence[str], raw: Any, coins: Coins) -> dict[str, Filter]:
    """The filter of each of `services` in `raw`, the `filter` of a command; none where it is null or empty.

    Raises Fault `invalid_filter` unless every service knows all of it.
    """
    if raw is None or raw == {}:
        return {}
    if not isinstance(raw, dict):
        raise _fault(services[0], f"filter must be an object, not {kind_of(raw)}")
    return {service: _read(service, raw, coins) for service in services}


def filter_of_query(service: str, query: Iterable[tuple[str, str]], coins: Coins) -> Filter | None:
    """The filter of a service in the parameters of an address; None where none of them is a filter.

    `query` has all parameters as pairs; those that are no filter of any service are not looked at. Raises Fault
    `invalid_filter`.
    """
    return filters_of_query((service,), query, coins).get(service)


def filters_of_query(services: Sequence[str], query: Iterable[tuple[str, str]], coins: Coins) -> dict[str, Filter]:
    """The same for several services, each of which must know all filters."""
    return read_filter(services, raw_of_query(query), coins)


def raw_of_query(query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of an address that are filters, as the `filter` of a command, which is to be read."""
    raw: dict[str, Any] = {}
    for name, text in query:
        if name in FILTERS and not isinstance(RULES.get(name), Least):
            values = [value.strip(" ") for value in text.split(",")]
            raw.setdefault(name, []).extend([] if values == [""] else values)
        elif name in FILTERS:
            raw[name] = [raw[name], text] if name in raw else _number(text)
    return raw


def _number(text: str) -> float | str:
    """The number in `text`, or else the text, which is refused later: a number is written as in JSON."""
    return float(text) if _NUMBER.fullmatch(text) else text


def _read(service: str, raw: Mapping[Any, Any], coins: Coins) -> Filter:
    rules = {rule.name: rule for rule in SERVICES[service].payload.filters} if service in SERVICES else {}
    known = known_filters(service)
    values: dict[str, list[str] | float] = {}
    for name, value in raw.items():
        if not isinstance(name, str) or name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise _fault(service, f"{service} has no filter {echo(name)}: {has}")
        rule = rules.get(name)
        if isinstance(rule, Least):
            values[name] = _read_number(service, name, value)
        elif rule is None:
            values[name] = _read_fields(service, _read_list(service, name, value))
        else:
            items = _read_list(service, name, value)
            values[name] = _ids(service, items, coins) if rule.coins else _once(items)
    return Filter(service, values)


def _read_number(service: str, name: str, value: Any) -> float:
    if type(value) not in (int, float):
        found = echo(value) if isinstance(value, str) else kind_of(value)
        raise _fault(service, f"{name} must be one number, not {found}")
    try:
        finite = math.isfinite(value) and value >= 0
    except OverflowError:  # an integer that no float can hold
        finite = False
    if not finite:
        raise _fault(service, f"{name} must be a finite number from 0")
    number: float = value
    return number


def _read_list(service: str, name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _fault(service, f"{name} must be an array of strings, not {kind_of(value)}")
    if not value:
        raise _fault(service, f"{name} is empty: leave it out, and everything is sent")
    if len(value) > MAX_VALUES:
        raise _fault(service, f"{name} has {len(value)} values: at most {MAX_VALUES} are possible")
    for item in value:
        if not isinstance(item, str):
            raise _fault(service, f"{name} must be an array of strings, but has {kind_of(item)}")
        if not item:
            raise _fault(service, f"{name} has an empty value")
        if len(item) > MAX_VALUE_CHARACTERS:
            raise _fault(service, f"{name} has a value of {len(item)} characters: at most {MAX_VALUE_CHARACTERS}")
        if _UNFIT.search(item):
            raise _fault(service, f"{name} has a value with a control character, or with what is no text")
    return value


def _read_fields(service: str, names: list[str]) -> list[str]:
    fields = known_fields(service)
    for name in names:
        if name not in fields:
            raise _fault(service, f"fields: {service} has no field {echo(name)}", fields=fields)
    return list(dict.fromkeys(names))


def _ids(service: str, names: list[str], coins: Coins) -> list[str]:
    """The ids of coins; a name that is not listed stays as it is."""
    ids = []
    for name in names:
        try:
            found = coins.resolve(name) or coins.resolve(name.lower())
        except AmbiguousCoinError as error:
            raise _fault(service, f"coins: {error}", ids=error.ids) from None
        ids.append(name if found is None else found)
    return list(dict.fromkeys(ids))


def _once(items: list[str]) -> list[str]:
    """`items`, of those that differ only in case the first."""
    found: dict[str, str] = {}
    for item in items:
        found.setdefault(item.lower(), item)
    return list(found.values())


def _type_of(rule: Rule) -> str:
    return f"a list of strings: {rule.words}" if isinstance(rule, Choice) else f"a number from 0: {rule.words}"


def _fault(service: str, message: str, **helps: Any) -> Fault:
    return Fault("invalid_filter", message, service=service, known=known_filters(service), **helps)
