"""Reading the fields that commands share: each is checked by itself, so that the error names what is wrong."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from gateway.endpoints import SUBSCRIBABLE
from gateway.messages.faults import Fault, echo
from gateway.messages.fields import DELIVERS, Deliver


def read_id(message: dict[Any, Any]) -> str | int | UnsetType:
    """The `id`, which is checked before."""
    found: str | int | None = message.get("id")
    return UNSET if found is None else found


def names_of(asked: str | list[str]) -> tuple[str, ...]:
    """The names in `service`."""
    return (asked,) if isinstance(asked, str) else tuple(asked)


def read_service(action: str, message: dict[Any, Any]) -> str | list[str]:
    """`service`: a name, or a list of names. Raises Fault `missing_service` or `invalid_service`."""
    asked = message.get("service")
    names: list[Any] = asked if isinstance(asked, list) else [asked]
    if asked is None or not names:
        raise Fault("missing_service", f"{action} needs a service", available_services=list(SUBSCRIBABLE))
    for name in names:
        if not isinstance(name, str) or name not in SUBSCRIBABLE:
            raise Fault("invalid_service", f"Invalid service: {echo(name)}", available_services=list(SUBSCRIBABLE))
    return names if isinstance(asked, list) else str(asked)


def read_deliver(message: dict[Any, Any]) -> Deliver | UnsetType:
    """`deliver`; null is absent. Raises Fault `invalid_message`."""
    found = message.get("deliver")
    if found is None:
        return UNSET
    for deliver in DELIVERS:
        if deliver == found:
            return deliver
    raise Fault("invalid_message", f'deliver must be "latest" or "every", not {echo(found)}')
