"""Parameters of queries: declared once per route, which both reads and documents them.

A route under `/api/v1` refuses what it does not know: who writes `?coin=bitcoin` and gets everything would take it for
bitcoin's. A query has at most 8 KiB (the head's limit), so reading one of a thousand values takes a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.datastructures import QueryParams

from gateway.filters.coins import Coins
from gateway.filters.filter import Filter
from gateway.filters.reading import VALUE_PATTERN, filter_of_query, known_fields, known_filters
from gateway.http.cursors import LONGEST
from gateway.http.moments import read_time
from gateway.messages.faults import Fault, echo
from gateway.messages.filtering import FILTERS, MAX_VALUE_CHARACTERS, MAX_VALUES, RULES, words_of
from gateway.messages.http import FailureData
from shared.catalog import FIELDS, SERVICES
from shared.errors import CoinwireError
from shared.payloads.filtering import Least

T = TypeVar("T")

MOMENT = (
    "ISO 8601 (`2025-11-11T10:30:00Z`, `2025-11-11T11:30:00%2B01:00`, `2025-11-11`; UTC unless it has a zone) "
    "or unix seconds (`1762857000`, `1762857000.250`), inclusive. "
)
_DATE = "|".join(
    (
        r"(19[7-9][0-9]|[2-9][0-9]{3})-"
        r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)",
        r"(19(7[26]|8[048]|9[26])|[2-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[3579][26])00)-02-29",
    )
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+ -]([01][0-9]|2[0-3]):[0-5][0-9])?"
_SECONDS = r"([0-9]{1,11}|1[0-9]{11}|2[0-4][0-9]{10}|25[0-2][0-9]{9})(\.[0-9]{1,9})?"
_MOMENT_PATTERN = f"^({_SECONDS}|({_DATE})([T ]{_TIME})?)$"
"""From 1970 to 9999, with the days that each month has."""

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE_CHARACTERS, "pattern": VALUE_PATTERN}
_FIELD = {"type": "string", "enum": sorted({field for service in SERVICES for field in known_fields(service)})}


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


def filter_documents() -> list[dict[str, Any]]:
    """The filters of all services as parameters in OpenAPI: which service has which is said in words."""
    return [_filter_document(name) for name in FILTERS]


def _filter_document(name: str) -> dict[str, Any]:
    if isinstance(RULES.get(name), Least):
        schema = {"type": "number", "minimum": 0}
        return {"name": name, "in": "query", "description": words_of(name), "schema": schema}
    # At most MAX_VALUES, in words only: most lists that are longer make addresses that are too long (414).
    schema = {"type": "array", "items": _FIELD if name == FIELDS else _NAME, "minItems": 1}
    words = f"{words_of(name)}, with commas between them, at most {MAX_VALUES}"
    return {"name": name, "in": "query", "description": words, "schema": schema, "style": "form", "explode": False}


class Asked:
    """The values of a query, by parameter."""

    def __init__(self, values: Mapping[Parameter[Any], Any], only: Filter | None = None) -> None:
        self._values = values
        self.filter = only
        """What is wanted of each update; None for everything."""

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """What was given, or the default."""
        found: T = self._values.get(parameter, parameter.default)
        return found

    def given(self, parameter: Parameter[T]) -> T | None:
        """What was given; None where it was not."""
        found: T | None = self._values.get(parameter)
        return found


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

    def read(self, query: QueryParams, service: str | None = None, coins: Coins | None = None) -> Asked:
        """The values of `query`, with the filter of `service` if there are `coins`.

        Raises ParameterError for an unknown name, a name given twice where one makes sense, and a wrong value; filters
        are read last.
        """
        filters = [] if service is None or coins is None else [*known_filters(service)]
        others = FILTERS if coins is not None else ()  # of other services: `invalid_filter` says more
        for name in query:
            if name not in self.names and name not in others:
                known, message = [*self.names, *filters], f"Unknown parameter: {echo(name)}"
                raise ParameterError(FailureData(message=message, code="unknown_parameter", known_parameters=known))
        values = self._values_of(query)
        if service is None or coins is None:
            return Asked(values)
        try:
            return Asked(values, filter_of_query(service, query.multi_items(), coins))
        except Fault as fault:
            raise ParameterError(FailureData(**fault.data)) from None

    def read_leniently(self, query: QueryParams) -> Asked:
        """The same, but unknown names are ignored, and of several values the last counts."""
        return Asked(self._values_of(QueryParams({name: query[name] for name in query})))

    def _values_of(self, query: QueryParams) -> dict[Parameter[Any], Any]:
        values = {}
        for parameter in self.each:
            texts = query.getlist(parameter.name)
            if texts:
                values[parameter] = _read(parameter, texts)
        return values


def _read(parameter: Parameter[T], texts: Sequence[str]) -> T:
    try:
        if len(texts) > 1 and not parameter.repeats:
            raise ValueError(f"{parameter.name} must be given once, not {len(texts)} times")
        return parameter.read(",".join(texts))
    except ValueError as error:
        raise ParameterError(FailureData(message=str(error), code="invalid_parameter")) from None
