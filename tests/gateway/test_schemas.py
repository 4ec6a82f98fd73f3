"""`/api/v1/schemas/{service}`: what a service's `data` is, as JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from referencing import Registry, Resource

from gateway.docs.examples import example_of, from_schema
from gateway.filters.reading import known_filters, read_filter
from gateway.http.schemas import DIALECT, FILTERS, MEDIA_TYPE, schema_of
from shared.catalog import CHANNEL_NAMES, SERVICES, SYSTEM
from shared.coins import Coins
from tests.gateway.serving import Gateway

each = pytest.mark.parametrize("service", CHANNEL_NAMES)
filtered = pytest.mark.parametrize("service", SERVICES)


def data_of(service: str) -> Any:
    """An example of what the service publishes."""
    return example_of(service, schema_of(service), schema_of(service).get("$defs", {}))


@each
def test_a_schema_stands_by_itself(service: str) -> None:
    """It is one of the 2020-12 dialect with an address of its own, and refers to nothing outside of it."""
    schema = schema_of(service)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == f"urn:coinwire:data:{service}"
    registry: Any = Registry().with_resource(schema["$id"], Resource.from_contents(schema))
    Draft202012Validator({"$ref": schema["$id"]}, registry=registry).validate(data_of(service))
    assert "    " not in json.dumps(schema)


@each
def test_what_is_published_fits_and_other_data_does_not(service: str) -> None:
    """The examples fit; a text in the place of the time does not, and neither does nothing."""
    validator, data = Draft202012Validator(schema_of(service)), data_of(service)
    validator.validate(data)
    validator.validate({name: value for name, value in data.items() if name != "as_of"})
    for wrong in ({**data, "timestamp": "yesterday"}, {}, [], None):
        with pytest.raises(ValidationError):
            validator.validate(wrong)


def test_system_is_a_notice_or_a_heartbeat() -> None:
    """Both have an event; there is no filter for either."""
    schema = schema_of(SYSTEM)
    heartbeat = example_of("heartbeat", schema["$defs"]["Heartbeat"], schema["$defs"])
    Draft202012Validator(schema).validate(heartbeat)
    assert FILTERS not in schema


@filtered
def test_a_schema_has_what_a_filter_may_ask_for(service: str) -> None:
    """One schema per filter of the service; a value that fits it is read, and an empty list fits none."""
    schemas = schema_of(service)[FILTERS]
    assert list(schemas) == list(known_filters(service))
    values = {name: from_schema(schema.get("items", schema), {}) for name, schema in schemas.items()}
    raw = {name: [value] if "items" in schemas[name] else value for name, value in values.items()}
    for name, value in raw.items():
        Draft202012Validator(schemas[name]).validate(value)
        assert not Draft202012Validator(schemas[name]).is_valid([])
    assert set(read_filter((service,), raw, Coins())) == {service}


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "explorers"])  # it has a field per chain
def test_filtered_data_fits_too_unless_fields_are_left_out(service: str) -> None:
    """What chooses entries and rows leaves all fields; what it does not find is in `unknown`, which the schema has."""
    for name, schema in schema_of(service)[FILTERS].items():
        if name != "fields":
            given = ["nobody"] if "items" in schema else 1.0
            left = read_filter((service,), {name: given}, Coins())[service].apply(data_of(service))
            Draft202012Validator({**schema_of(service), "additionalProperties": False}).validate(left)


async def test_they_are_served_with_etags(gateway: Gateway) -> None:
    """As JSON Schema, for a minute; who has one gets 304. What the gateway has heard fits."""
    for service in CHANNEL_NAMES:
        answer = await gateway.http.get(f"/api/v1/schemas/{service}")
        assert answer.json() == schema_of(service)
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.headers["cache-control"] == "public, max-age=60"
        known = {"If-None-Match": answer.headers["etag"]}
        assert (await gateway.http.get(f"/api/v1/schemas/{service}", headers=known)).status_code == 304
        snapshot = (await gateway.http.get(f"/api/v1/snapshot/{service}")).json()
        Draft202012Validator(answer.json()).validate(snapshot["data"]["data"])
    for name in ("nope", "all", "heartbeat"):
        answer = await gateway.http.get(f"/api/v1/schemas/{name}")
        assert (answer.status_code, answer.json()["data"]["code"]) == (404, "invalid_service")
        assert answer.json()["data"]["available_services"] == list(CHANNEL_NAMES)
    answer = await gateway.http.get("/api/v1/schemas/news?version=2")
    assert (answer.status_code, answer.json()["data"]["code"]) == (400, "unknown_parameter")
