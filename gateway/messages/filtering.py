"""The `filter` of a subscribe, as documents describe it. `gateway.filters` reads it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from shared.catalog import FIELDS, SERVICES
from shared.payloads.filtering import Choice, Rule

MAX_VALUES = 250
"""Values of one list: as many coins as CoinGecko gives on a page, and more than market_data tracks."""

MAX_VALUE_CHARACTERS = 100
"""Characters of a value: the longest ids of coins have about 60."""

RULES: dict[str, Rule] = {rule.name: rule for spec in SERVICES.values() for rule in spec.payload.filters}
"""Every filter that some service has, besides `fields`, by name."""

FILTERS = (*RULES, FIELDS)
"""The name of every filter, of whichever service. An address has them as parameters."""

FIELDS_WORDS = "names of fields of `data`; only these are sent"


def words_of(name: str) -> str:
    """What the values of a filter are, and which services have it."""
    if name == FIELDS:
        return f"{FIELDS_WORDS} (every service)"
    having = [service for service, spec in SERVICES.items() if name in spec.filters]
    return f"{RULES[name].words} ({', '.join(f'`{service}`' for service in having)})"


def _schema_of(name: str) -> dict[str, Any]:
    if name != FIELDS and not isinstance(RULES[name], Choice):
        return {"type": "number", "minimum": 0, "description": words_of(name)}
    item = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE_CHARACTERS}
    return {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_VALUES, "description": words_of(name)}


FilterFields = Annotated[
    dict[str, Any],
    Meta(
        description="what is sent of each update of the service; by default everything",
        extra_json_schema={
            "properties": {name: _schema_of(name) for name in FILTERS},
            "additionalProperties": False,
            "examples": [{"coins": ["bitcoin", "ethereum"], "fields": ["prices", "price_changes"]}],
        },
    ),
]
