"""The WebSocket API as AsyncAPI 3.1, made from ENDPOINTS, SERVICES, the payload types and the protocol's constants.

`x-` keys carry what AsyncAPI has no place for and the page shows: intervals, error codes, close codes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.docs import shapes
from gateway.docs.answers import PAYLOADS
from gateway.docs.commands import COMMANDS, ID, SINCE
from gateway.docs.examples import MOMENT, example_of, notice_examples
from gateway.endpoints import ENDPOINTS, MASTER, SUBSCRIBABLE, Endpoint
from gateway.protocol import MAX_MESSAGE_BYTES, CloseCode, ErrorCode
from shared.catalog import CHANNEL_NAMES, SERVICES, SYSTEM
from shared.payloads.fields import UtcTime
from shared.settings import Settings

_SCHEMA = "#/components/schemas/{name}"
_NAMES = {name: f"update_{name}" for name in CHANNEL_NAMES}

NOTICES: dict[str, tuple[str, type]] = {
    "connection_established": ("connection_established", shapes.ConnectionEstablished),
    "welcome": ("welcome", shapes.Welcome),
    "welcome_master": ("welcome", shapes.WelcomeMaster),
    "subscription_confirmed": ("subscription_confirmed", shapes.SubscriptionConfirmed),
    "unsubscription_confirmed": ("unsubscription_confirmed", shapes.UnsubscriptionConfirmed),
    "status": ("status", shapes.ConnectionStatus),
    "error": ("error", shapes.ErrorData),
}
"""Messages of the gateway itself but `pong`, whose `data` is the client's: name, `type`, and what `data` is."""

WELCOMES = {"/ws": "welcome", "/ws/master": "welcome_master"}

ERRORS: dict[ErrorCode, str] = {
    "invalid_json": "The text frame is not JSON.",
    "invalid_msgpack": "The binary frame of a `msgpack` connection is not MessagePack.",
    "invalid_message": "It could be read, but is not a command: not an object, or a field of the wrong type.",
    "binary_not_supported": "A binary frame on a text connection.",
    "text_not_supported": "A text frame on a `msgpack` connection.",
    "unknown_action": "`action` is missing or none of `supported_actions`.",
    "missing_service": "`subscribe` and `unsubscribe` need `service`.",
    "invalid_service": "`service` is none of `available_services`; nothing was changed.",
    "rate_limited": "Too many commands; the next is taken after `retry_after_ms`.",
}

CLOSES: dict[CloseCode, str] = {
    CloseCode.POLICY: "You kept sending commands although each was refused as `rate_limited`.",
    CloseCode.TOO_BIG: f"A message was larger than {MAX_MESSAGE_BYTES // 1024} KiB.",
    CloseCode.RESTART: "This gateway stops. Reconnect; with `since` nothing is lost.",
    CloseCode.SLOW: "You read more slowly than updates came. Reconnect; with `since` nothing is lost.",
}


def document(version: str) -> dict[str, Any]:
    """The AsyncAPI document."""
    messages = {**_notices(), **_updates(), **_commands()}
    channels = {_key(endpoint): _channel(endpoint) for endpoint in ENDPOINTS.values()}
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "coinwire WebSocket API",
            "version": version,
            "description": "Crypto market, chain and news data as it happens. Every server message is an object with "
            "`service`, `type`, `data` and `timestamp`. Every endpoint takes every command for every service; "
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
        "x-close-codes": {str(code.value): text for code, text in CLOSES.items()},
    }


def _server(protocol: str) -> dict[str, Any]:
    host = {"default": f"localhost:{Settings.model_fields['port'].default}", "description": "the host of this document"}
    return {"host": "{host}", "protocol": protocol, "variables": {"host": host}, "security": []}


# What is said.


def _types() -> dict[str, type]:
    return PAYLOADS | {name: kind for name, (_, kind) in NOTICES.items()} | {"meta": shapes.UpdateMeta}


def _references() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    types = _types()
    found, components = msgspec.json.schema_components(types.values(), ref_template=_SCHEMA)
    return dict(zip(types, found, strict=True)), components


def _schemas() -> dict[str, Any]:
    own = {
        "ServiceName": {"type": "string", "enum": list(SUBSCRIBABLE), "description": "`all` is each of the twelve"},
        "Timestamp": {"description": "when it was sent"} | msgspec.json.schema(UtcTime),
        "Since": SINCE,
        "CommandId": ID,
    }
    return own | _references()[1]


def _envelope(title: str, service: str, kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A server message. `title` is unique: generated clients name their types after it."""
    return {
        "title": title,
        "type": "object",
        "properties": {
            "service": {"const": service},
            "type": {"const": kind},
            "data": data,
            "timestamp": {"$ref": "#/components/schemas/Timestamp"},
            **more,
        },
        "required": ["service", "type", "data", "timestamp"],
        "additionalProperties": False,
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


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _type_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _notices() -> dict[str, Any]:
    references, components = _references()
    samples = notice_examples()
    found = {}
    for name, (kind, struct) in NOTICES.items():
        text = components[struct.__name__]["description"]
        payload = _envelope(f"{_type_name(name)}Message", SYSTEM, kind, references[name])
        found[name] = _message(kind, _words(name), text, payload, [samples[name]])
    anything = {"description": "the command's `data` as it came; `{}` if it had none. With an `id`, it is in here"}
    pong = _envelope("PongMessage", SYSTEM, "pong", anything)
    found["pong"] = _message("pong", "Pong", "Answer to `ping`.", pong, [samples["pong"]])
    return found


def _updates() -> dict[str, Any]:
    references, components = _references()
    meta = references["meta"]
    found = {}
    for service, name in _NAMES.items():
        spec = SERVICES.get(service)
        sample = {
            "service": service,
            "type": "update",
            "data": example_of(service, references[service], components),
            "timestamp": MOMENT,
        }
        title, summary = (spec.title, spec.description) if spec else ("System", "Notices about the cluster itself")
        payload = _envelope(f"{PAYLOADS[service].__name__}Update", service, "update", references[service], meta=meta)
        found[name] = _message("update", f"{title} update", summary, payload, [sample])
        found[name]["x-service"] = service
        found[name]["x-interval-seconds"] = spec.interval if spec else None
        found[name]["x-category"] = spec.category if spec else SYSTEM
    return found


def _commands() -> dict[str, Any]:
    return {
        action: _message(
            action,
            f"{_words(action)} command",
            command.summary,
            {"title": f"{_type_name(action)}Command", **command.schema(action)},
            list(command.examples),
        )
        for action, command in COMMANDS.items()
    }


# Where it is said.


def _key(endpoint: Endpoint) -> str:
    return endpoint.path.strip("/").replace("/", "_")


def _channel(endpoint: Endpoint) -> dict[str, Any]:
    welcome = WELCOMES.get(endpoint.path)
    names = ["connection_established", *([welcome] if welcome else []), "subscription_confirmed"]
    names += ["unsubscription_confirmed", "status", "pong", "error", *_NAMES.values(), *COMMANDS]
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
                        "meta": {"type": "string", "enum": ["1", "true"], "description": "`update` carries `meta`"}
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


def _description(endpoint: Endpoint) -> str:
    subscribed = f"Subscribes `{endpoint.subscribes}` on connect." if endpoint.subscribes else "Subscribes nothing."
    listed = "everything" if endpoint.group == MASTER else ", ".join(f"`{name}`" for name in endpoint.lists)
    return f"{endpoint.description}. {subscribed} Lists as available: {listed}."


def _operations(endpoint: Endpoint, messages: dict[str, Any]) -> dict[str, Any]:
    """What the gateway does on a channel: it receives each command and replies, and sends what nobody asked for."""
    key = _key(endpoint)
    channel = {"$ref": f"#/channels/{key}"}

    def named(*names: str) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/{key}/messages/{name}"} for name in names]

    found: dict[str, Any] = {
        f"{key}.{action}": {
            "action": "receive",
            "channel": channel,
            "summary": command.summary,
            "messages": named(action),
            "reply": {"channel": channel, "messages": named(command.reply, "error")},
        }
        for action, command in COMMANDS.items()
    }
    unasked = [name for name in messages if name not in COMMANDS and name not in {"status", "pong", "error"}]
    found[f"{key}.stream"] = {
        "action": "send",
        "channel": channel,
        "summary": "Greeting, automatic subscription and updates",
        "messages": named(*(name for name in unasked if name != "unsubscription_confirmed")),
    }
    return found
