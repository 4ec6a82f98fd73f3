"""What a filter leaves of `data`, as schemas: any of its fields, and `unknown`."""

from __future__ import annotations

from typing import Any

from gateway.filters.filter import UNKNOWN
from gateway.messages.http import PAYLOADS
from shared.catalog import SERVICES
from shared.payloads.filtering import Choice

_Schema = dict[str, Any]

_UNKNOWN = {
    "type": "array",
    "items": {"type": "string"},
    "description": "what the filter names and `data` does not have; absent if it has everything",
}


def with_filtered(components: dict[str, _Schema], ref_template: str) -> dict[str, _Schema]:
    """`components`, in which `data` of a snapshot or record is that of its service, or what a filter leaves of it."""
    filtered: dict[str, _Schema] = {}
    either: dict[str, _Schema] = {}  # by the address of the whole
    for name in SERVICES:
        payload = PAYLOADS[name].__name__
        whole, part = (ref_template.format(name=each) for each in (payload, f"Filtered{payload}"))
        filtered[f"Filtered{payload}"] = _part_of(name, components[payload], components)
        either[whole] = {"anyOf": [{"$ref": whole}, {"$ref": part}]}
    return {name: _referring(schema, either) for name, schema in components.items()} | filtered


def _part_of(service: str, whole: _Schema, components: dict[str, _Schema]) -> _Schema:
    rules = SERVICES[service].payload.filters
    maps = {name for rule in rules if isinstance(rule, Choice) for name in rule.maps}
    properties = {
        name: _without_required(schema, components) if name in maps else schema
        for name, schema in whole["properties"].items()
    }
    return {
        "title": f"Filtered{whole['title']}",
        "description": "What a filter leaves of it. Without `fields`, every field is there.",
        "type": "object",
        "properties": properties | {UNKNOWN: _UNKNOWN},
    }


def _without_required(schema: _Schema, components: dict[str, _Schema]) -> _Schema:
    """A map in which any entry may be absent."""
    if "$ref" not in schema:
        return schema
    found = components[schema["$ref"].rpartition("/")[2]]
    return {name: value for name, value in found.items() if name not in ("required", "title")}


def _referring(schema: _Schema, either: dict[str, _Schema]) -> _Schema:
    """A schema of a component; `data` that may be filtered says so."""
    data = schema.get("properties", {}).get("data", {})
    if data.get("$ref") not in either:
        return schema
    return {**schema, "properties": {**schema["properties"], "data": either[data["$ref"]]}}
