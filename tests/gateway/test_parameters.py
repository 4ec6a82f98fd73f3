"""Queries under `/api/v1`: every route, a new one too, refuses what it does not know and what is wrong."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import quote

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.app import ROUTES, create_app
from gateway.docs.openapi import document
from gateway.filters.reading import known_filters
from gateway.http.api import ApiRoute
from gateway.http.cursors import CANDLES, COINS, HISTORY, seal, unseal
from gateway.http.parameters import Parameter
from gateway.messages.filtering import FILTERS
from gateway.messages.http import HttpCode
from shared.catalog import SYSTEM
from shared.coins import Coins

API = [route for route in ROUTES if isinstance(route, ApiRoute)]
VALUES = {"service": "news", "coin": "bitcoin"}
"""A value for each parameter of a path."""
DECLARED = [(route, parameter) for route in API for parameter in route.parameters.each]
DOCUMENT = document(ROUTES, "0")

HOSTILE = [
    "",
    " ",
    "x",
    "-1",
    "1e3",
    "0x10",
    "1.5",
    "NaN",
    "٣",
    "1 OR 1=1",
    "'; DROP TABLE updates; --",
    "\0",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "[]",
    "null",
    "9" * 19,
    "9" * 4000,
    ",".join(str(n) for n in range(1000)),
]
"""Texts that are no value of most parameters."""


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application. Behind it is a node that only knows coins: what is refused asks nothing else."""
    application = create_app(None)  # type: ignore[arg-type]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        node = SimpleNamespace(directory=Coins())
        await application({**scope, "state": {"node": node}}, receive, send)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


def address(route: ApiRoute, query: str) -> str:
    """An address of `route`."""
    return f"{route.path.format(**VALUES)}?{query}"


def known(route: ApiRoute) -> list[str]:
    """What `route` takes in its query."""
    return [*route.parameters.names, *(known_filters(VALUES["service"]) if route.filtered else ())]


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """`data` of an answer that must be a 400 as documented."""
    assert answer.status_code == 400, (answer.url, answer.text)
    data: dict[str, Any] = answer.json()["data"]
    assert data["code"] in get_args(HttpCode)
    schema = {"$ref": "#/components/schemas/Failure", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(answer.json())
    assert len(answer.content) < 2000
    return data


def test_every_route_of_the_api_declares_its_parameters() -> None:
    """None is read without a declaration, and all are documented, with the 400 that a wrong one gets."""
    assert [route for route in ROUTES if route.path.startswith("/api/")] == API  # type: ignore[attr-defined]
    for route in API:
        operation = DOCUMENT["paths"][route.path]["get"]
        documented = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        assert documented == [*route.parameters.names, *(FILTERS if route.filtered else ())]
        assert "400" in operation["responses"], route.path


@pytest.mark.parametrize("route", API, ids=lambda route: route.path)
@pytest.mark.parametrize("name", ["coin", "", "Limit", "from ", "limit[]", "\0", "' OR 1=1 --", "a" * 8000])
async def test_an_unknown_parameter_is_400_with_those_there_are(
    http: httpx.AsyncClient, route: ApiRoute, name: str
) -> None:
    """`unknown_parameter`, whatever its name and whether it has a value; a long name is cut in the message."""
    for query in (f"{quote(name)}=1", f"{quote(name)}=", quote(name) or "=", f"{quote(name)}=1&{quote(name)}=2"):
        data = refusal(await http.get(address(route, query)))
        assert (data["code"], data["known_parameters"]) == ("unknown_parameter", known(route))
        assert name[:100] in data["message"]


@pytest.mark.parametrize("route", API, ids=lambda route: route.path)
async def test_a_query_of_thousands_costs_little(http: httpx.AsyncClient, route: ApiRoute) -> None:
    """As many parameters as a head of 8 KiB can have are refused within some milliseconds."""
    queries = ["&".join(["a"] * 4000), "&".join(f"{n}=" for n in range(1500))]
    queries += [f"{name}=" + "," * 8000 for name in known(route)]
    queries += ["&".join([f"{name}=1"] * (8000 // (len(name) + 3))) for name in known(route)]
    for query in queries:
        began = time.process_time()
        refusal(await http.get(address(route, query)))
        assert time.process_time() - began < 0.2


@pytest.mark.parametrize(("route", "parameter"), DECLARED, ids=lambda each: getattr(each, "path", None) or each.name)
async def test_a_parameter_given_twice_is_400(
    http: httpx.AsyncClient, route: ApiRoute, parameter: Parameter[Any]
) -> None:
    """Where one value makes sense, two are refused, also if they are the same."""
    if not parameter.repeats:
        data = refusal(await http.get(address(route, f"{parameter.name}=1&{parameter.name}=1")))
        assert data["code"] == "invalid_parameter"
        assert data["message"] == f"{parameter.name} must be given once, not 2 times"


@pytest.mark.parametrize(("route", "parameter"), DECLARED, ids=lambda each: getattr(each, "path", None) or each.name)
async def test_what_the_schema_refuses_is_400(
    http: httpx.AsyncClient, route: ApiRoute, parameter: Parameter[Any]
) -> None:
    """`invalid_parameter` that names the parameter, for every hostile text that its schema does not allow."""
    schema = parameter.schema
    bounds = [schema[name] + step for name, step in (("minimum", -1), ("maximum", 1)) if name in schema]
    for text in (*HOSTILE, *map(str, bounds)):
        value = int(text) if schema["type"] == "integer" and text.isascii() and text.lstrip("-").isdecimal() else text
        if not Draft202012Validator(schema).is_valid(value):
            data = refusal(await http.get(address(route, f"{parameter.name}={quote(text)}")))
            assert data["code"] == "invalid_parameter"
            assert data["message"].startswith(parameter.name)


@pytest.mark.parametrize(("route", "parameter"), DECLARED, ids=lambda each: getattr(each, "path", None) or each.name)
def test_what_the_schema_allows_can_be_read(route: ApiRoute, parameter: Parameter[Any]) -> None:
    """Every value of an enumeration, both bounds, and the default."""
    schema = parameter.schema
    bounds = [schema[name] for name in ("minimum", "maximum", "default") if name in schema]
    for value in (*bounds, *schema.get("enum", ())):
        assert parameter.read(str(value)) == value
    assert schema.get("default") == parameter.default


FILTERED = [route for route in API if route.filtered]


@pytest.mark.parametrize("route", FILTERED, ids=lambda route: route.path)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("service", ["news", "market_data", "whale_tracking", SYSTEM])
async def test_a_wrong_filter_is_400_with_those_there_are(
    http: httpx.AsyncClient, route: ApiRoute, service: str, name: str
) -> None:
    """`invalid_filter`, for every hostile text, and for filters that only other services have; `system` has none."""
    texts = ["", ",", "a," * 251, "a" * 101, "a,,b"]
    if name == "min_value_usd":
        texts = ["", "NaN", "-1", "inf", "1e999", "1,2", "1 OR 1=1"]
    elif name == "fields" or name not in known_filters(service):
        texts += ["x", "x'; DROP TABLE updates; --", "\0"]
    for text in texts:
        data = refusal(await http.get(f"{route.path.format(service=service)}?{name}={quote(text)}"))
        assert (data["code"], data["service"]) == ("invalid_filter", service)
        assert list(data["known"]) == list(known_filters(service))


async def test_a_service_that_does_not_exist_comes_first(http: httpx.AsyncClient) -> None:
    """404 `invalid_service`, whatever else is wrong."""
    for route in API:
        if "{service}" in route.path:
            answer = await http.get(f"{route.path.format(service='gold')}?what=x&limit=x")
            assert (answer.status_code, answer.json()["data"]["code"]) == (404, "invalid_service")


def test_a_cursor_of_another_endpoint_says_so() -> None:
    """Each kind is opened by its own endpoint only."""
    for kind, name in ((HISTORY, "history"), (CANDLES, "candles"), (COINS, "coins")):
        text = seal(kind, b"place")
        assert unseal(kind, text) == b"place"
        for other in {HISTORY, CANDLES, COINS} - {kind}:
            with pytest.raises(ValueError, match=f"cursor is one of another endpoint: {name}"):
                unseal(other, text)
