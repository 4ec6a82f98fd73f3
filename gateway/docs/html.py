"""HTML: the AsyncAPI document and the guides are rendered here, the OpenAPI document by Swagger UI in the browser."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from gateway.docs import guides
from gateway.endpoints import MASTER
from gateway.messages.faults import MAX_MESSAGE_BYTES
from gateway.protocol import COMMAND_BURST, COMMANDS_A_SECOND
from shared.catalog import CATEGORIES, SYSTEM

_HERE = Path(__file__).parent
_ASSETS = _HERE / "assets"
_SWAGGER = _HERE / "swagger_ui"

ASSETS: dict[str, Path] = {
    "docs.css": _ASSETS / "docs.css",
    "viewer.css": _ASSETS / "viewer.css",
    "docs.js": _ASSETS / "docs.js",
    "search.js": _ASSETS / "search.js",
    "copy.js": _ASSETS / "copy.js",
    "viewer.js": _ASSETS / "viewer.js",
    "swagger-ui.css": _SWAGGER / "swagger-ui.css",
    "swagger-ui-bundle.js": _SWAGGER / "swagger-ui-bundle.js",
}
"""All files that the page loads; other files of their folders are not served."""

NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
SECURITY = NO_SNIFFING | {
    "Content-Security-Policy": "default-src 'self'; "
    "style-src 'self' 'unsafe-inline'; "  # Swagger UI sets style attributes
    "img-src 'self' data:; "  # its icons
    "connect-src 'self' ws: wss:; "  # not every browser counts WebSockets of the same host as 'self'
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_DEEPEST = 6  # levels of nesting shown in a table of fields; the payloads have three


class Field(NamedTuple):
    """One row of a table of fields."""

    path: str
    type: str
    description: str
    optional: bool


@cache
def fingerprint(name: str) -> str:
    """Part of an asset's address that changes with its content."""
    return hashlib.sha256(ASSETS[name].read_bytes()).hexdigest()[:12]


def _template(name: str, depth: int = 0) -> tuple[jinja2.Template, str]:
    """A template for a page `depth` folders below `/`, and the relative path to `/`, which works behind a prefix."""
    root = "../" * depth
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"code": _code, "plain": _plain, "pretty": _pretty, "compact": _compact}
    environment.globals["asset"] = lambda name: f"{root}docs/assets/{name}?v={fingerprint(name)}"
    return environment.get_template(name), root


def render_guide(path: str) -> str:
    """The page of a document of `docs/`. Raises KeyError for one that is not there."""
    guide = guides.guides()[path]
    template, root = _template("guide.html", depth=1 + path.count("/"))
    return template.render(guide=guide, listed=guides.listed(), root=root, text=Markup(guides.html(path)))  # noqa: S704


def render(document: dict[str, Any]) -> str:
    """The page of an AsyncAPI document."""
    template, _ = _template("docs.html")
    messages = document["components"]["messages"]
    schemas = document["components"]["schemas"]
    updates = {name: message for name, message in messages.items() if "x-service" in message}
    received = [operation for operation in document["operations"].values() if operation["action"] == "receive"]
    commands = {_last(operation["messages"][0]): _last(operation["reply"]["messages"][0]) for operation in received}
    return template.render(
        document=document,
        groups=(MASTER, *CATEGORIES),
        categories=(*CATEGORIES, SYSTEM),
        commands=[(messages[name], reply) for name, reply in commands.items()],
        notices={name: text for name, text in messages.items() if name not in commands and name not in updates},
        updates=list(updates.values()),
        fields=lambda message: list(fields(message["payload"]["properties"]["data"], schemas)),
        schema=lambda message: schemas[_last(message["payload"]["properties"]["data"])],
        guides=guides.listed(),
        limits={"size": MAX_MESSAGE_BYTES // 1024, "rate": f"{COMMANDS_A_SECOND:g}", "burst": f"{COMMAND_BURST:g}"},
    )


def fields(schema: dict[str, Any], schemas: dict[str, Any], path: str = "", depth: int = 0) -> Iterator[Field]:
    """Every field of a schema, nested ones after the one they are in: `nodes[].name`, `prices.*`."""
    schema = _resolve(schema, schemas)
    if depth == _DEEPEST:
        return
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        text = value.get("description") or _resolve(value, schemas).get("description", "")
        yield Field(here, _type(value, schemas), text, name not in required)
        yield from fields(value, schemas, here, depth + 1)
    if schema.get("type") == "array":
        yield from fields(schema["items"], schemas, f"{path}[]", depth + 1)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(schema["additionalProperties"], schemas, f"{path}.*", depth + 1)


def _resolve(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference, or behind the part of a choice that is not null."""
    if "$ref" in schema:
        return _resolve(schemas[_last(schema)], schemas)
    parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    return _resolve(parts[0], schemas) if len(parts) == 1 else schema


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _type(schemas[_last(schema)], schemas)
    if "anyOf" in schema:
        return " or ".join(_type(part, schemas) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], schemas)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'], schemas)}"
    return str(schema.get("type", "anything"))


def _last(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _code(text: str) -> Markup:
    """Text with `such parts` as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  (escaped just before)


def _plain(text: str) -> str:
    """Text without the marks of code."""
    return text.replace("`", "")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
