"""The WebSocket API as AsyncAPI 3.1: from the endpoints, the types that are sent, and their descriptions.

`x-` keys hold what AsyncAPI has no key for and `/docs` shows: intervals, what updates carry, error codes, close codes.
"""

from __future__ import annotations

from functools import cache
from inspect import getdoc
from typing import Any

import msgspec

from gateway.docs.examples import example_of
from gateway.endpoints import ENDPOINTS, MASTER, Endpoint, expand
from gateway.filters.filter import UNKNOWN
from gateway.filters.reading import known_filters
from gateway.messages.actions import COMMANDS, Subscribe
from gateway.messages.faults import ERRORS, CloseCode
from gateway.messages.fields import EXAMPLE_TIME, CommandId, ServiceName
from gateway.messages.filtering import FILTERS
from gateway.messages.http import PAYLOADS
from gateway.messages.message import Message, Notice
from gateway.messages.notices import GREETINGS, NOTICES, WELCOMES, ErrorData
from shared.catalog import CHANNEL_NAMES, SERVICES, STATES, SYSTEM
from shared.envelope import UPDATE
from shared.payloads import Heartbeat
from shared.settings import Settings

_SCHEMA = "#/components/schemas/{name}"
_UPDATES = {name: f"update_{name}" for name in CHANNEL_NAMES}
_HEARTBEAT = "heartbeat"
_FILTERED = "filtered_update"
_UNKNOWN = "what the filter names and the update does not have; absent if it has everything"
_IN_AN_ADDRESS = "; as a parameter of the address, several are separated by commas"
_NAMED = {"ServiceName": ServiceName, "CommandId": CommandId}
"""Types that get a name of their own in the document, for generated clients to use."""


def document(version: str) -> dict[str, Any]:
    """The AsyncAPI document."""
    messages = {**_notices(), **_updates(), **_heartbeat(), **_filtered(), **_commands()}
    channels = {_key(endpoint): _channel(endpoint) for endpoint in ENDPOINTS.values()}
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "coinwire WebSocket API",
            "version": version,
            "description": "Crypto market, chain and news data in real time. Every server message is an object with "
            "`service`, `type`, `data` and `timestamp`. Every endpoint accepts every command for every service; "
            "endpoints differ in what they subscribe on connect.",
        },
        "defaultContentType": "application/json",
        "servers": {"plain": _server("ws"), "tls": _server("wss")},
        "channels": channels,
        "operations": {
            name: operation
            for endpoint in ENDPOINTS.values()
            for name, operation in _operations(endpoint, channels[_key(endpoint)]["messages"]).items()
        },
        "components": {"messages": messages, "schemas": _schemas()},
        "x-error-codes": dict(ERRORS),
        "x-close-codes": {str(code.value): code.text for code in CloseCode},
    }


def _server(protocol: str) -> dict[str, Any]:
    host = {
        "default": f"localhost:{Settings.model_fields['port'].default}",
        "description": "the host that serves this document",
    }
    return {"host": "{host}", "protocol": protocol, "variables": {"host": host}, "security": []}


# The messages.


def name_of(notice: type[Notice]) -> str:
    """The name of a notice among the document's messages."""
    return notice.name or notice.type


def _data_of(notice: type[Notice]) -> Any:
    return notice if notice.schema is None else notice.schema


@cache
def _schema_components() -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """The schema of each type that a message is made of, and the schemas that they refer to."""
    types = [Message, *PAYLOADS.values(), Heartbeat, *(_data_of(notice) for notice in NOTICES), *COMMANDS.values()]
    found, components = msgspec.json.schema_components(types, ref_template=_SCHEMA)
    return dict(zip(types, found, strict=True)), components


def _schemas() -> dict[str, Any]:
    """What messages refer to; the messages themselves and the commands are described where they are used."""
    inline = {Message.__name__, *(command.__name__ for command in COMMANDS.values())}
    components = {name: schema for name, schema in _schema_components()[1].items() if name not in inline}
    named = {name: msgspec.json.schema(kind) for name, kind in _NAMED.items()}
    timestamp = {"Timestamp": _inlined(Message)["properties"]["timestamp"]}
    return named | timestamp | components


def _inlined(kind: type) -> dict[str, Any]:
    """The schema of a type, with references to `_NAMED` where their schemas are."""
    schema = _schema_components()[1][kind.__name__]
    found: dict[str, Any] = _referring(schema, {name: msgspec.json.schema(each) for name, each in _NAMED.items()})
    return found


def _referring(schema: Any, named: dict[str, Any]) -> Any:
    for name, each in named.items():
        if schema == each:
            return {"$ref": _SCHEMA.format(name=name)}
    if isinstance(schema, dict):
        return {key: _referring(value, named) for key, value in schema.items()}
    return [_referring(value, named) for value in schema] if isinstance(schema, list) else schema


def _envelope(title: str, service: str, kind: str, data: dict[str, Any], *, meta: bool = False) -> dict[str, Any]:
    """A server message. `title` is unique: generated clients name their types after it."""
    schema = _inlined(Message)
    fixed = {"service": {"const": service}, "type": {"const": kind}, "data": data}
    properties = schema["properties"] | fixed | {"timestamp": {"$ref": _SCHEMA.format(name="Timestamp")}}
    if not meta:
        del properties["meta"]
    return {key: value for key, value in schema.items() if key != "description"} | {
        "title": title,
        "properties": properties,
    }


def _message(name: str, title: str, summary: str, payload: dict[str, Any], examples: list[Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "summary": summary,
        "contentType": "application/json",
        "payload": payload,
        "examples": [{"payload": example} for example in examples],
    }


def _sample(service: str, kind: str, data: Any) -> Any:
    return msgspec.to_builtins(Message(service=service, type=kind, data=data, timestamp=EXAMPLE_TIME))


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _type_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _notices() -> dict[str, Any]:
    found = {}
    for notice in NOTICES:
        name = name_of(notice)
        data = _schema_components()[0][_data_of(notice)]
        payload = _envelope(f"{_type_name(name)}Message", SYSTEM, notice.type, data)
        examples = [_sample(SYSTEM, notice.type, example.data) for example in notice.examples()]
        found[name] = _message(notice.type, _words(name), getdoc(notice) or "", payload, examples)
    return found


def _updates() -> dict[str, Any]:
    references, components = _schema_components()
    found = {}
    for service, name in _UPDATES.items():
        spec, kind = SERVICES.get(service), PAYLOADS[service]
        data = references[kind]
        title, summary = (spec.title, spec.description) if spec else ("System", "Notices about the cluster itself")
        payload = _envelope(f"{kind.__name__}Update", service, UPDATE, data, meta=True)
        example = _sample(service, UPDATE, example_of(service, data, components))
        found[name] = _message(UPDATE, f"{title} update", summary, payload, [example])
        found[name]["x-service"] = service
        found[name]["x-interval-seconds"] = spec.interval if spec else None
        found[name]["x-carries"] = "state" if service in STATES else "events"
        found[name]["x-filters"] = known_filters(service)
        found[name]["x-category"] = spec.category if spec else SYSTEM
    return found


def _heartbeat() -> dict[str, Any]:
    """The update that a gateway makes itself. It has no position."""
    references, components = _schema_components()
    data = references[Heartbeat]
    payload = _envelope("HeartbeatUpdate", SYSTEM, UPDATE, data)
    example = _sample(SYSTEM, UPDATE, example_of(_HEARTBEAT, data, components))
    summary = getdoc(Heartbeat) or ""
    return {_HEARTBEAT: _message(UPDATE, "Heartbeat", summary, payload, [example])}


def _filtered() -> dict[str, Any]:
    """The update of a subscription with a filter: a part of the service's own `data`."""
    unknown = {"type": "array", "items": {"type": "string"}, "description": _UNKNOWN}
    payload = _envelope("FilteredUpdate", "", UPDATE, {"type": "object", "properties": {UNKNOWN: unknown}}, meta=True)
    payload["properties"]["service"] = {"type": "string", "enum": list(SERVICES)}
    data = {"prices": {"bitcoin": 45000.0}, "price_changes": {"bitcoin": 1.82}, UNKNOWN: ["no-such-coin"]}
    summary = "The update of a subscription with a `filter`: what it leaves of the service's `data`."
    return {_FILTERED: _message(UPDATE, "Filtered update", summary, payload, [_sample("market_data", UPDATE, data)])}


def _commands() -> dict[str, Any]:
    found = {}
    for action, command in COMMANDS.items():
        schema = {key: value for key, value in _inlined(command).items() if key != "description"}
        payload = schema | {"title": f"{_type_name(action)}Command"}
        examples = [msgspec.to_builtins(example) for example in command.examples()]
        found[action] = _message(action, f"{_words(action)} command", getdoc(command) or "", payload, examples)
    return found


# The channels.


def _key(endpoint: Endpoint) -> str:
    return endpoint.path.strip("/").replace("/", "_")


def _channel(endpoint: Endpoint) -> dict[str, Any]:
    others = set(WELCOMES.values()) - {WELCOMES.get(endpoint.path)}
    names = [
        *(name_of(notice) for notice in NOTICES if notice not in others),
        *_UPDATES.values(),
        _HEARTBEAT,
        _FILTERED,
        *COMMANDS,
    ]
    return {
        "address": endpoint.path,
        "title": endpoint.description,
        "description": _description(endpoint),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "meta": {"type": "string", "enum": ["1", "true"], "description": "`update` carries `meta`"},
                        **_filters(endpoint),
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Sec-WebSocket-Protocol": {
                            "type": "string",
                            "enum": ["msgpack"],
                            "description": "the same messages as MessagePack in binary frames, both ways, with `meta`",
                        }
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-group": endpoint.group,
        "x-subscribes": endpoint.subscribes,
    }


def _filters(endpoint: Endpoint) -> dict[str, Any]:
    """The parameters of an address that filter what the endpoint subscribes: those that all its services know."""
    services = expand((endpoint.subscribes,)) if endpoint.subscribes else ()
    names = [name for name in FILTERS if services and all(name in SERVICES[each].filters for each in services)]
    return {
        name: {"type": "string", "description": known_filters(services[0])[name] + _IN_AN_ADDRESS} for name in names
    }


def _description(endpoint: Endpoint) -> str:
    subscribed = f"Subscribes `{endpoint.subscribes}` on connect." if endpoint.subscribes else "Subscribes nothing."
    listed = "everything" if endpoint.group == MASTER else ", ".join(f"`{name}`" for name in endpoint.lists)
    return f"{endpoint.description}. {subscribed} Lists as available: {listed}."


def _operations(endpoint: Endpoint, messages: dict[str, Any]) -> dict[str, Any]:
    """What the gateway does on a channel: it receives each command and replies, and sends messages unasked."""
    key = _key(endpoint)
    channel = {"$ref": f"#/channels/{key}"}

    def named(*names: str) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/{key}/messages/{name}"} for name in names]

    found: dict[str, Any] = {
        f"{key}.{action}": {
            "action": "receive",
            "channel": channel,
            "summary": getdoc(command),
            "messages": named(action),
            "reply": {"channel": channel, "messages": named(name_of(command.reply), name_of(ErrorData))},
        }
        for action, command in COMMANDS.items()
    }
    unasked = {
        *(name_of(notice) for notice in GREETINGS),
        name_of(Subscribe.reply),
        *_UPDATES.values(),
        _HEARTBEAT,
        _FILTERED,
    }
    found[f"{key}.stream"] = {
        "action": "send",
        "channel": channel,
        "summary": "Greeting, automatic subscription and updates",
        "messages": named(*(name for name in messages if name in unasked)),
    }
    return found
