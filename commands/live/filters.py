"""Options for filters: one per filter that the catalogue knows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from commands.options import ArgumentError
from shared.catalog import FIELDS, SERVICES
from shared.payloads.filtering import Least, Rule

RULES: dict[str, Rule | None] = {
    **{rule.name: rule for spec in SERVICES.values() for rule in spec.payload.filters},
    FIELDS: None,
}
"""By name, every filter that some service has."""

Filters = Mapping[str, list[str] | float]


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option per filter; it gets those that are given as `filters`."""

    @functools.wraps(command)
    def filtered(**given: Any) -> None:
        filters = {name: _values(given.pop(name)) for name in RULES}
        command(**given, filters={name: value for name, value in filters.items() if value is not None})

    own = [each for each in inspect.signature(command, eval_str=True).parameters.values() if each.name != "filters"]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name))
        for name in RULES
    ]
    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *options]
    filtered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    filtered.__annotations__ = {each.name: each.annotation for each in parameters}
    del filtered.__wrapped__  # else typer would read the annotations of what is wrapped
    return filtered


def check_filters(service: str, filters: Filters) -> None:
    """Raise ArgumentError, which names the filters that `service` has, where it lacks one of `filters`."""
    known = SERVICES[service].filters if service in SERVICES else ()
    for name in filters:
        if name not in known:
            has = f"it has {', '.join(map(_flag, known))}" if known else "it has none"
            raise ArgumentError(f"{service} has no filter {_flag(name)}; {has}")


def _annotation(name: str) -> Any:
    rule = RULES[name]
    services = [service for service, spec in SERVICES.items() if name in spec.filters]
    of = "every service" if len(services) == len(SERVICES) else ", ".join(services)
    if isinstance(rule, Least):
        return Annotated[float | None, typer.Option(_flag(name), metavar="NUMBER", help=f"Only from this on: {of}.")]
    return Annotated[list[str] | None, typer.Option(_flag(name), metavar="A,B,…", help=f"Only these: {of}.")]


def _values(given: list[str] | float | None) -> list[str] | float | None:
    """Values are separated by commas, in one option or several. None without the option; an empty list is refused."""
    if not isinstance(given, list):
        return given
    return [value.strip() for text in given for value in text.split(",") if value.strip()] if given else None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
