"""The bodies of HTTP answers, each under a name of its own, with the services' payloads in them.

Generated clients name their types after the schemas. One schema per service, told apart by `service`, lets them say
`snapshot.data.prices` once they have looked at it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import new_class
from typing import Any, Union, get_origin

from msgspec import Struct

from gateway.docs import shapes
from shared.catalog import CHANNEL_NAMES, SERVICES
from shared.payloads import SystemNotice

PAYLOADS: dict[str, type[Struct]] = {
    name: SERVICES[name].payload if name in SERVICES else SystemNotice for name in CHANNEL_NAMES
}
"""What `data` of an update is, by channel."""


def _named(name: str, shape: Any, **config: Any) -> Any:
    """A generic Struct with its parameter, as a type of this name."""

    def described(namespace: dict[str, Any]) -> None:
        namespace["__doc__"] = get_origin(shape).__doc__

    return new_class(name, (shape,), {"frozen": True, "kw_only": True, **config}, described)


def _one_per_service(name: str, shape_of: Callable[[type[Struct]], Any]) -> Any:
    """A union that `service` tells apart, so that whoever has looked at it knows the fields of `data`."""
    kinds = [
        _named(f"{payload.__name__}{name}", shape_of(payload), tag_field="service", tag=service)
        for service, payload in PAYLOADS.items()
    ]
    return Union[tuple(kinds)]  # noqa: UP007  (made at run time)


def success(name: str, data: Any) -> Any:
    """A successful answer that carries `data`."""
    return _named(f"{name}Answer", shapes.Success[data])


SNAPSHOTS = _one_per_service("Snapshot", lambda payload: shapes.Snapshot[payload])  # type: ignore[valid-type]
HISTORIES = _one_per_service(
    "History",
    lambda payload: shapes.History[_named(f"{payload.__name__}Record", shapes.HistoryRecord[payload])],  # type: ignore
)
