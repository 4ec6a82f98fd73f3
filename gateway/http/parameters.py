"""Parameters of queries: declared once per route, which both reads and documents them.

A route under `/api/v1` refuses what it does not know: who writes `?coin=bitcoin` and gets everything would take it for
bitcoin's. A query has at most 8 KiB (the head's limit), so reading one of a thousand values takes a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.datastructures import QueryParams

from gateway.http.cursors import LONGEST
from gateway.http.moments import read_time
from gateway.messages.faults import echo
from gateway.messages.http import FailureData
from shared.errors import CoinwireError

T = TypeVar("T")

MOMENT = (
    "ISO 8601 (`2025-11-11T10:30:00Z`, `2025-11-11T11:30:00%2B01:00`, `2025-11-11`; UTC unless it has a zone) "
    "or unix seconds (`1762857000`, `1762857000.250`), inclusive. "
)
_MOMENT_PATTERN = (
    r"^([0-9]{1,12}(\.[0-9]{1,9})?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+ -][0-9]{2}:[0-9]{2})?)?)$"
)


class ParameterError(CoinwireError):
    """A query can't be understood. `data` is that of the answer, which is 400."""

    def __init__(self, data: FailureData) -> None:
        self.data = data
        super().__init__(data.message)


@dataclass(frozen=True, eq=False)
class Parameter(Generic[T]):
    """One parameter of a query, which may be given once."""

    name: str
    description: str
    default: T
    """What it is where it is not given."""
    schema: Mapping[str, Any]
    """The texts that it takes, as JSON Schema."""
    read: Callable[[str], T]
    """Its value, from its text. Raises ValueError whose message is a sentence that names it."""
    repeats: bool = False
    """Whether it may be given several times; `read` then gets the texts joined by commas."""

    @property
    def document(self) -> dict[str, Any]:
        """The parameter in OpenAPI."""
        return {"name": self.name, "in": "query", "description": self.description, "schema": dict(self.schema)}


def integer(name: str, description: str, least: int, most: int, default: int) -> Parameter[int]:
    """An integer from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
            raise ValueError(f"{name} must be an integer from {least} to {most}")
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return Parameter(name, description, default, schema, read)


def choice(name: str, description: str, values: Sequence[str], default: str) -> Parameter[str]:
    """One of `values`."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"{name} must be one of {', '.join(values)}")
        return text

    return Parameter(name, description, default, {"type": "string", "enum": list(values), "default": default}, read)


def moment(name: str, description: str, *, up: bool) -> Parameter[int | None]:
    """A time, as unix ms; fractions are rounded `up` or down. `description` is what the parameter defaults to."""

    def read(text: str) -> int:
        try:
            return read_time(text, up=up)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    return Parameter(name, MOMENT + description, None, {"type": "string", "pattern": _MOMENT_PATTERN}, read)


def cursor(description: str, read: Callable[[str], T]) -> Parameter[T | None]:
    """`cursor`, which `read` opens."""
    schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": LONGEST}
    return Parameter("cursor", description, None, schema, read)


class Asked:
    """The values of a query, by parameter."""

    def __init__(self, values: Mapping[Parameter[Any], Any]) -> None:
        self._values = values

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """What was given, or the default."""
        found: T = self._values.get(parameter, parameter.default)
        return found

    def __contains__(self, parameter: Parameter[Any]) -> bool:
        """Whether it was given."""
        return parameter in self._values


@dataclass(frozen=True)
class Parameters:
    """All parameters of a route, in the order in which they are read: the first that is wrong is named."""

    each: Sequence[Parameter[Any]] = ()

    @property
    def names(self) -> list[str]:
        """In the same order."""
        return [parameter.name for parameter in self.each]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The parameters in OpenAPI."""
        return [parameter.document for parameter in self.each]

    def read(self, query: QueryParams, also: Iterable[str] = (), *, lenient: bool = False) -> Asked:
        """The values of `query`. Names in `also` are read by somebody else.

        Raises ParameterError for a wrong value, a name given twice where one makes sense, and an unknown name. If
        `lenient`, other names are left alone, and of several values the last counts.
        """
        if not lenient:
            self._refuse_unknown(query, [*self.names, *also])
        values = {}
        for parameter in self.each:
            texts = query.getlist(parameter.name)
            if texts:
                values[parameter] = _read(parameter, texts[-1:] if lenient else texts)
        return Asked(values)

    def _refuse_unknown(self, query: QueryParams, known: list[str]) -> None:
        for name in query:
            if name not in known:
                message = f"Unknown parameter: {echo(name)}"
                raise ParameterError(FailureData(message=message, code="unknown_parameter", known_parameters=known))


def _read(parameter: Parameter[T], texts: Sequence[str]) -> T:
    try:
        if len(texts) > 1 and not parameter.repeats:
            raise ValueError(f"{parameter.name} must be given once, not {len(texts)} times")
        return parameter.read(",".join(texts))
    except ValueError as error:
        raise ParameterError(FailureData(message=str(error), code="invalid_parameter")) from None
