"""`/api/v1/schemas/{service}`: what `data` of a service's updates is, as JSON Schema 2020-12.

A schema is made of the payload's type when it is first asked for. It stands by itself: what it refers to is in `$defs`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from inspect import cleandoc
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.filters.filter import UNKNOWN
from gateway.filters.reading import known_fields
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked
from gateway.messages.filtering import MAX_VALUE_CHARACTERS, MAX_VALUES
from shared.catalog import FIELDS, SERVICES, SYSTEM
from shared.payloads import Heartbeat, SystemNotice
from shared.payloads.filtering import Choice, Rule

MEDIA_TYPE = "application/schema+json"
"""That of JSON Schema: https://json-schema.org/draft/2020-12/json-schema-core#section-14.1"""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILTERS = "x-filters"
"""The keyword for what a filter may ask for. Validators ignore keywords that they don't know."""

CACHING = "public, max-age=60"  # it changes with an upgrade only
_FILTERED = (
    "This is `data` as it is published. `x-filters` has what a filter may ask for: what it leaves out may be absent."
)


class SchemaBody(NamedTuple):
    """An answer."""

    body: bytes
    etag: str


def schema_of(service: str) -> dict[str, Any]:
    """The schema of `data` of a service's updates, or of `system`."""
    found: dict[str, Any] = {"$schema": DIALECT, "$id": f"urn:coinwire:data:{service}"}
    if service == SYSTEM:
        references, components = _components(SystemNotice, Heartbeat)
        return found | {"title": "System", "anyOf": list(references), "$defs": components}
    payload = SERVICES[service].payload
    _, components = _components(payload)
    found |= components.pop(payload.__name__)
    found["description"] = "\n\n".join(filter(None, (found.get("description"), _FILTERED)))
    if any(isinstance(rule, Choice) and rule.names_unknown for rule in payload.filters):
        found["properties"] = found["properties"] | {UNKNOWN: _UNKNOWN}
    found[FILTERS] = {rule.name: _filter(rule) for rule in payload.filters} | {FIELDS: _fields(service)}
    return found | ({"$defs": components} if components else {})


def _components(*types: type[msgspec.Struct]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """References to the schemas of `types`, and all schemas by name."""
    references, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for component in components.values():
        if "description" in component:
            component["description"] = cleandoc(component["description"])
    return references, components


_UNKNOWN = {
    "type": "array",
    "items": {"type": "string"},
    "description": "only with a filter: the values of it that `data` has nowhere; absent if there are none",
}


def _filter(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, Choice):
        return _list({"type": "string", "minLength": 1, "maxLength": MAX_VALUE_CHARACTERS}, rule.words)
    return {"type": "number", "minimum": 0, "description": rule.words}


def _fields(service: str) -> dict[str, Any]:
    return _list({"enum": known_fields(service)}, "names of fields of `data`")


def _list(items: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_VALUES, "description": description}


@cache
def _made(service: str) -> SchemaBody:
    body = msgspec.json.format(msgspec.json.encode(schema_of(service)), indent=2)
    return SchemaBody(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


async def schema(request: Request, _asked: Asked) -> Response:
    """JSON Schema of the data of a service's updates, and what it can be filtered by."""
    body, etag = _made(request.path_params["service"])
    return Response(body, headers={"ETag": etag, "Cache-Control": CACHING}, media_type=MEDIA_TYPE)


ROUTES = [ApiRoute("/api/v1/schemas/{service}", schema)]
