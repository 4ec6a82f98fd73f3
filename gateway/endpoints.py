"""ENDPOINTS: what each WebSocket path subscribes and lists. Derived from the catalogue: a new service needs no edit."""

from __future__ import annotations

from dataclasses import dataclass

from shared.catalog import ALL, CATEGORIES, SERVICES, SYSTEM, of_category

SUBSCRIBABLE = (*SERVICES, SYSTEM, ALL)
"""Every name a client may subscribe to: the twelve, `system` and `all`."""

MASTER = "master"
_UNIFIED = {"data_collection": "/ws/data", "monitoring": "/ws/monitoring", "integration": "/ws/integration"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One WebSocket path. Every endpoint accepts every command for every service."""

    path: str
    group: str
    """`master`, or the category it belongs to."""
    subscribes: str | None
    """Subscribed on connect: a service, `all`, or nothing."""
    lists: tuple[str, ...]
    """Names that `connection_established` lists as available."""
    description: str


def _endpoints() -> dict[str, Endpoint]:
    master = (
        Endpoint("/ws", MASTER, None, SUBSCRIBABLE, "Default endpoint with subscription management"),
        Endpoint("/ws/master", MASTER, None, SUBSCRIBABLE, "Master endpoint with access to all services"),
        Endpoint("/ws/all", MASTER, ALL, SUBSCRIBABLE, "Subscribes to all services on connect"),
    )
    found = {endpoint.path: endpoint for endpoint in master}
    for category in CATEGORIES:
        names, unified = of_category(category), _UNIFIED[category]
        text = f"All {category.replace('_', ' ')} services, subscribed by hand"
        found[unified] = Endpoint(unified, category, None, names, text)
        for name in names:
            own = [path for path in SERVICES[name].endpoints if path != unified]
            for path in own:
                text = f"{SERVICES[name].title} only" + (f" (alias of {own[0]})" if path != own[0] else "")
                found[path] = Endpoint(path, category, name, names, text)
    return found


ENDPOINTS: dict[str, Endpoint] = _endpoints()
"""By path, in the order in which they are documented."""


def expand(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` with `all` replaced by the twelve services; every name once, in the given order."""
    services = (service for name in names for service in (SERVICES if name == ALL else (name,)))
    return tuple(dict.fromkeys(services))
